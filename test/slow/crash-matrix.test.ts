// Every single step of a settlement, where `npm test` takes some of each kind.
import '../settlement/crash-matrix.test.ts'
