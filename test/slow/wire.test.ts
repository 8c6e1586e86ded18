// A connection that is cut 200 times in a row, where `npm test` cuts it 50 times.
import '../faults/wire.test.ts'
