// To be imported before whatever loads mqtt-packet. It keeps a buffer of up to four bytes for every packet length it has ever
// written, each cut from Node's pool, so that each new length holds 64 KiB for good: 20 MiB of a small board within ten minutes.
// Here these buffers get memory of their own.
import numbers from 'mqtt-packet/numbers.js'

const pooled = numbers.genBufVariableByteInt

/** Buffer.alloc never takes from the pool. */
numbers.genBufVariableByteInt = (value) => {
  const bytes = pooled(value)
  const own = Buffer.alloc(bytes.byteLength)
  bytes.copy(own)
  return own
}
