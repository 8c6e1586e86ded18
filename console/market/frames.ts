// The pictures of the last tasks, in memory, so that the console's page can draw answers over them.

export interface KeptFrame {
  readonly contentType: string
  readonly data: Uint8Array
}

export interface Frames {
  keep(taskId: string, contentType: string, data: Uint8Array): void
  get(taskId: string): KeptFrame | undefined
  has(taskId: string): boolean
  readonly bytes: number
}

const DEFAULT_CAP_BYTES = 16 * 1024 * 1024

/** The oldest go first once `capBytes` are held. Only images are kept. */
export function createFrames(capBytes = DEFAULT_CAP_BYTES): Frames {
  const frames = new Map<string, KeptFrame>()
  let bytes = 0

  function forget(taskId: string): void {
    const frame = frames.get(taskId)
    if (!frame) return
    frames.delete(taskId)
    bytes -= frame.data.byteLength
  }

  return {
    keep(taskId, contentType, data) {
      if (!contentType.startsWith('image/') || data.byteLength > capBytes) return
      forget(taskId)
      frames.set(taskId, { contentType, data })
      bytes += data.byteLength
      for (const oldest of frames.keys()) {
        if (bytes <= capBytes) break
        forget(oldest)
      }
    },
    get: (taskId) => frames.get(taskId),
    has: (taskId) => frames.has(taskId),
    get bytes() {
      return bytes
    },
  }
}
