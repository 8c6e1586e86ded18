// The part of mqtt-packet's inner module that packet-memory.ts replaces; its own types leave it out.
declare module 'mqtt-packet/numbers.js' {
  const numbers: { genBufVariableByteInt(value: number): Buffer }
  export = numbers
}
