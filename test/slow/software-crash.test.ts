// Every single change on the disk, where `npm test` takes every fifth.
import '../agent/software-crash.test.ts'
