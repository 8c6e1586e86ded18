// Every single change on the disk, where `npm test` takes every seventh.
import '../agent/software-crash.test.ts'
