// An outage of ten minutes, where `npm test` plays two.
import '../faults/outages.test.ts'
