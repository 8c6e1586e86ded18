// What a console, a line or a publisher may do wrong, or mean ill: nothing of it is ever served, and what served goes on.
import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { readPins, TrustError } from '../../agent/packages/trust.ts'
import type { Release } from '../../broker/protocol/packages.ts'
import {
  type Answer,
  type Bend,
  type Board,
  type BoardOptions,
  type Console,
  createPublisher,
  type Files,
  lengthField,
  sha256,
  treeOf,
  varint,
  version,
  whole,
} from './packages-rig.ts'
import { openPackagesStage } from './packages-stage.ts'

const stage = openPackagesStage()
const { acme, boardWith, offered } = stage
const stranger = createPublisher('stranger')

/** A board that serves fashion@1.1.0 and is then told to serve `wanted`. */
async function told(wanted: ReturnType<Console['offer']>, options: Partial<BoardOptions> = {}): Promise<Board> {
  const first = await version('fashion', '1.1.0')
  stage.console.want(offered('fashion', '1.1.0', first))
  const board = await boardWith(options)
  await board.until((_, versions) => versions['fashion'] === '1.1.0')
  stage.console.want(wanted)
  await board.packages.converge()
  return board
}

const reasonOf = async (board: Board, state: 'refused' | 'waiting'): Promise<string> => {
  await board.until(([fashion]) => fashion?.state === state && fashion.reason !== undefined)
  expect(board.versions()).toEqual({ fashion: '1.1.0' })
  expect(board.proven).toEqual(['fashion@1.1.0'])
  return board.packages.states()[0]?.reason ?? ''
}

const modelOf = (files: Files): { bytes: Buffer; digest: string } => {
  const bytes = files.get('model.onnx')!
  return { bytes, digest: sha256(bytes) }
}

describe('a release', () => {
  const refusal = async (jws: (files: Files) => string, options: Partial<BoardOptions> = {}): Promise<string> => {
    const files = await version('fashion', '2.0.0')
    return reasonOf(await told(stage.console.offer('fashion', '2.0.0', files, jws(files)), options), 'refused')
  }

  test('signed with another key is refused, and not one of its files is fetched', async () => {
    const forger = createPublisher(acme.id)
    expect(await refusal((files) => forger.sign('fashion', '2.0.0', files))).toContain('signature')
    expect(stage.console.fetched()).not.toContain(modelOf(await version('fashion', '2.0.0')).digest)
  })

  test('of a publisher that the console does not name is refused', async () => {
    expect(await refusal((files) => stranger.sign('fashion', '2.0.0', files))).toContain('not trusted')
  })

  test('of a publisher that the console trusts is refused where the owner pinned another', async () => {
    const pinned = createPublisher('pinned')
    const files = await version('fashion', '2.0.0')
    stage.console.want(offered('fashion', '2.0.0', files))
    const board = await boardWith({ pins: new Map([[pinned.id, pinned.key]]) })
    await board.until(([fashion]) => fashion?.state === 'refused')
    expect(board.versions()).toEqual({})
  })

  test.each([
    ['whose text was changed', (jws: string) => `${jws.slice(0, -8)}AAAAAAAA`],
    ['that is no release at all', () => 'hello'],
    ['without a signature', (jws: string) => jws.split('.').slice(0, 2).join('.')],
  ])('%s is refused', async (_, bend) => {
    expect(await refusal((files) => bend(acme.sign('fashion', '2.0.0', files)))).toMatch(/signature|no release/)
  })

  test.each([
    ['../../evil.sh', /no release/],
    ['/etc/passwd', /no release/],
    ['.release', /no release/],
    ['golden/../../x', /no release/],
    ['model.onnx/inner', /as a file and as a folder/],
  ])('that names %s is refused', async (path, reason) => {
    const bend = (release: Release): void => void release.files.push({ path, sha256: sha256('x'), bytes: 1 })
    expect(await refusal((files) => acme.sign('fashion', '2.0.0', files, bend))).toMatch(reason)
  })

  test('that promises more than any package may have is refused', async () => {
    const bend = ({ files }: Release): void => {
      files.push({ path: 'zeros', sha256: sha256('x'), bytes: 600 * 1024 * 1024 })
    }
    expect(await refusal((files) => acme.sign('fashion', '2.0.0', files, bend))).toContain('no release')
  })

  test('with a model.json to fill the memory with is refused before it is fetched', async () => {
    const bend = ({ files }: Release): void => {
      for (const file of files) if (file.path === 'model.json') file.bytes = 200 * 1024 * 1024
    }
    expect(await refusal((files) => acme.sign('fashion', '2.0.0', files, bend))).toContain('model.json')
  })

  test('of another model than the console says is refused', async () => {
    expect(await refusal((files) => acme.sign('mobilenet-v1', '2.0.0', files))).toContain('mobilenet-v1@2.0.0')
  })

  test('that is not the one asked for is never looked at', async () => {
    const files = await version('fashion', '2.0.0')
    const wanted = offered('fashion', '2.0.0', files)
    stage.console.lie(wanted.release, (_, response) =>
      response.end(
        acme.sign('fashion', '2.0.0', files, (r) => {
          r.at = '2020-01-01T00:00:00Z'
        }),
      ),
    )
    expect(await reasonOf(await told(wanted), 'waiting')).toContain('another release')
  })

  test('loses its place when its publisher is not trusted any more, and what was before comes back', async () => {
    stage.console.trust(acme, stranger)
    const files = await version('fashion', '2.0.0')
    const board = await told(stage.console.offer('fashion', '2.0.0', files, stranger.sign('fashion', '2.0.0', files)))
    await board.until((_, versions) => versions['fashion'] === '2.0.0')
    stage.console.trust(acme)
    await board.packages.converge()
    await board.until((_, versions) => versions['fashion'] === '1.1.0')
    expect(board.packages.states()[0]?.reason).toContain('not trusted')
  })
})

describe('a package', () => {
  const refusal = async (bend: Bend): Promise<string> => {
    const files = await version('fashion', '2.0.0', 1, bend)
    const board = await told(offered('fashion', '2.0.0', files))
    return reasonOf(board, 'refused')
  }

  test('whose model.json names another version is refused', async () => {
    expect(
      await refusal((manifest) => {
        manifest.version = '2.0.1'
      }),
    ).toContain('fashion@2.0.1')
  })

  test('whose model.json names a file that is not signed is refused', async () => {
    expect(
      await refusal((manifest) => {
        manifest.file.path = 'other.onnx'
      }),
    ).toContain('other.onnx')
  })

  test('whose model.json contradicts the signed digests is refused', async () => {
    expect(
      await refusal((manifest) => {
        manifest.labels.file.sha256 = sha256('x')
      }),
    ).toContain('labels.json')
  })

  test('whose model.json cannot be read by this agent is refused with what is wrong', async () => {
    expect(
      await refusal((manifest) => {
        manifest.task = 'mind-reading'
      }),
    ).toContain('model.json')
  })

  test.each([
    ['says that its data is elsewhere', Buffer.concat([varint(14 * 8), varint(1)])],
    ['names a file of data', lengthField(13, lengthField(1, Buffer.from('location')))],
  ])('with a tensor that %s is refused', async (_, tensor) => {
    const graph = lengthField(7, lengthField(5, tensor))
    const bend: Bend = (manifest, files) => {
      const model = Buffer.concat([files.get('model.onnx')!, graph])
      files.set('model.onnx', model)
      manifest.file = { ...manifest.file, sha256: sha256(model), bytes: model.byteLength }
    }
    expect(await refusal(bend)).toContain('in other files')
  })

  test('without golden cases is refused: nothing shows that it works', async () => {
    expect(
      await refusal((manifest) => {
        manifest.golden = []
      }),
    ).toContain('golden')
  })

  test('that was refused is not fetched again by the next process, but by another version of the agent', async () => {
    const files = await version('fashion', '2.0.0', 1, (manifest) => {
      manifest.golden = []
    })
    const wanted = offered('fashion', '2.0.0', files)
    const first = await told(wanted)
    await reasonOf(first, 'refused')
    await first.stop()
    const asked = stage.console.asked.length
    const second = await boardWith()
    await second.packages.converge()
    await second.until(([fashion]) => fashion?.state === 'refused')
    expect(stage.console.asked.slice(asked).map(({ path }) => path)).not.toContain(`/boards/releases/${wanted.release}`)
    expect(second.versions()).toEqual({ fashion: '1.1.0' })
    await second.stop()
    const third = await boardWith({ version: '1.0.1' })
    await third.until(([fashion]) => fashion?.state === 'refused')
    expect(third.proven).toEqual(['fashion@1.1.0'])
  })
})

describe('a file', () => {
  const files = version('fashion', '2.0.0', 256)
  const offeredHere = async () => offered('fashion', '2.0.0', await files)
  const lie = async (answer: Answer): Promise<Board> => {
    stage.console.lie(modelOf(await files).digest, answer)
    return told(await offeredHere())
  }
  /** The console comes to its senses; the board tries again by itself, and once more where what it had was wrong. */
  const served = async (board: Board): Promise<void> => {
    stage.console.lie(modelOf(await files).digest)
    const isServed = (): boolean => board.versions()['fashion'] === '2.0.0'
    while (!isServed()) {
      await board.until(([fashion]) => isServed() || fashion?.state === 'waiting')
      await board.advance(10 * 60_000)
    }
  }

  test.each([
    [
      'with other bytes of the same length',
      (_, response, bytes) => response.end(Buffer.alloc(bytes.byteLength, 1)),
      /came with sha256/,
    ],
    [
      'with more bytes than announced',
      (_, response, bytes) => response.writeHead(200).end(Buffer.concat([bytes, bytes])),
      /longer/,
    ],
    [
      'that announces more bytes than signed',
      (_, response) => response.writeHead(200, { 'content-length': 1 << 30 }).write('x'),
      /longer/,
    ],
    ['packed', (_, response, bytes) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bytes), /gzip/],
    ['by a redirect', (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(), /redirect/],
    ['by status 500', (_, response) => response.writeHead(500).end(), /500/],
    ['that is not there', (_, response) => response.writeHead(404).end(), /404/],
    [
      'that breaks off',
      (_, response, bytes) =>
        response
          .writeHead(200, { 'content-length': bytes.byteLength })
          .write(bytes.subarray(0, 1_000), () => response.destroy()),
      /broke off after/,
    ],
    ['that ends too early', (_, response) => response.end('short'), /broke off after 5 of/],
  ] satisfies [string, Answer, RegExp][])('%s is not believed, and fetched again later', async (_, answer, reason) => {
    const board = await lie(answer)
    expect(await reasonOf(board, 'waiting')).toMatch(reason)
    await served(board)
  })

  test('without end is cut off at the length that was signed', async () => {
    const all = await files
    const { bytes } = modelOf(all)
    let sent = 0
    let closed = false
    const board = await lie((_, response) => {
      response.on('close', () => {
        closed = true
      })
      const more = (): void => {
        if (closed) return
        sent += 65_536
        response.write(Buffer.alloc(65_536), more)
      }
      more()
    })
    expect(await reasonOf(board, 'waiting')).toMatch(/longer/)
    await expect.poll(() => closed).toBe(true)
    expect(sent).toBeLessThan(bytes.byteLength + 8 * 1024 * 1024)
    await served(board)
  })

  test('goes on where it broke off', async () => {
    const { bytes, digest } = modelOf(await files)
    const half = bytes.byteLength >> 1
    const board = await lie((request, response, all) => {
      if (request.headers.range !== undefined) return void whole(request, response, all)
      response.end(all.subarray(0, half))
    })
    await reasonOf(board, 'waiting')
    expect(board.packages.states()[0]?.percent).toBeGreaterThan(0)
    await board.advance(10_000)
    await board.until((_, versions) => versions['fashion'] === '2.0.0')
    const ranges = stage.console.asked.filter(({ path }) => path.endsWith(digest)).map(({ range }) => range)
    expect(ranges).toEqual([undefined, `bytes=${half}-`])
  })

  test.each([
    [
      'another range than asked for',
      (_, response, all) =>
        response.writeHead(206, { 'content-range': `bytes 0-${all.byteLength - 1}/${all.byteLength}` }).end(all),
      /asked for bytes from/,
    ],
    [
      'a range of another file',
      (_, response) => response.writeHead(206, { 'content-range': 'bytes 1000-1999/2000' }).end('x'.repeat(1000)),
      /asked for bytes from/,
    ],
    ['no range at all', (_, response) => response.writeHead(206).end('x'), /asked for bytes from/],
    [
      'the wrong rest',
      (_, response, all) =>
        response
          .writeHead(206, { 'content-range': `bytes 1000-${all.byteLength - 1}/${all.byteLength}` })
          .end(Buffer.alloc(all.byteLength - 1000)),
      /came with sha256/,
    ],
    ['416', (_, response) => response.writeHead(416).end(), /416/],
  ] satisfies [string, Answer, RegExp][])('whose rest comes as %s is not believed', async (_, answer, reason) => {
    const board = await lie((request, response, all) => {
      if (request.headers.range !== undefined) return void answer(request, response, all)
      response.end(all.subarray(0, 1_000))
    })
    expect(await reasonOf(board, 'waiting')).toMatch(/broke off/)
    await board.advance(10_000)
    await board.until(([fashion]) => reason.test(fashion?.reason ?? ''))
    expect(board.versions()).toEqual({ fashion: '1.1.0' })
    await served(board)
  })

  test('leaves nothing of itself behind once it is not wanted any more', async () => {
    const board = await lie((_, response, all) =>
      response.writeHead(200, { 'content-length': all.byteLength }).write(all.subarray(0, 1_000)),
    )
    await board.until(([fashion]) => (fashion?.percent ?? 0) >= 0 && fashion?.state === 'downloading')
    const first = await version('fashion', '1.1.0')
    stage.console.want(offered('fashion', '1.1.0', first))
    await board.packages.converge()
    await expect
      .poll(async () => Object.keys(await treeOf(stage.data)).filter((path) => path.includes('staging')))
      .toEqual([])
    expect(board.packages.states()).toEqual([])
  })
})

describe('pinned publishers', () => {
  const { publicKey } = generateKeyPairSync('ed25519')
  const key = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64url')

  test('are read from flags; none given means that the console says', () => {
    expect(readPins({ named: [`me:${key}`] })).toEqual(new Map([['me', key]]))
    expect(readPins({})).toBeUndefined()
  })

  test.each([`me:${key}x`, key, 'me:', `m e:${key}`])('that make no sense are refused: %s', (line) => {
    expect(() => readPins({ named: [line] })).toThrow(TrustError)
  })

  test('from a file that is missing are a fault, not an open door', () => {
    expect(() => readPins({ file: '/nowhere/keys' })).toThrow(/cannot be read/)
  })
})
