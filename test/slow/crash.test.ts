// Every single step of the answering process, where `npm test` takes every third.
import '../agent/crash.test.ts'
