// A board that QEMU emulates, with the project's own image in its slot: started, asked through a shell of its own, cut from power.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

/** QEMU's user network shows the guest this machine's loopback under this address. */
export const HOST_AS_SEEN = '10.0.2.2'

/** Root's, on a serial line that only this QEMU has; each command's end is told from what it says by a record separator. */
const SHELL = `[Unit]
Description=The boot test's own line in
DefaultDependencies=no
[Service]
ExecStart=/bin/sh -c 'until [ -e /dev/virtio-ports/shell ]; do sleep 1; done; exec 3<>/dev/virtio-ports/shell; exec sh <&3 >&3 2>&1'
`
const UNITS = '/etc/upper/systemd/system'

interface Part {
  readonly start: number
  readonly size: number
}

/** In sectors of 512 bytes: boot, root, data. */
export const partsOf = (image: string): Part[] =>
  (JSON.parse(execFileSync('sfdisk', ['--json', image], { encoding: 'utf8' })).partitiontable.partitions as Part[]).map(
    ({ start, size }) => ({ start, size }),
  )

/** Puts the shell's unit onto the data partition, where a board keeps what it changed in /etc: the image itself stays as it is. */
export function addShell(card: string, work: string): void {
  const data = partsOf(card)[2]
  if (data === undefined) throw new Error(`${card} has no data partition`)
  mkdirSync(work, { recursive: true })
  writeFileSync(join(work, 'shell.service'), SHELL)
  const wants = `${UNITS}/sysinit.target.wants`
  const lines = [
    ...['/etc/upper/systemd', UNITS, wants].map((folder) => `mkdir ${folder}`),
    `write ${join(work, 'shell.service')} ${UNITS}/shell.service`,
    `symlink ${wants}/shell.service /etc/systemd/system/shell.service`,
  ]
  writeFileSync(join(work, 'debugfs'), `${lines.join('\n')}\n`)
  execFileSync('debugfs', ['-w', '-f', join(work, 'debugfs'), `${card}?offset=${data.start * 512}`], {
    stdio: 'ignore',
  })
}

interface Options {
  readonly card: string
  /** Without extension: kernel and initramfs lie beside the image. */
  readonly stem: string
  /** For the shell's socket. */
  readonly work: string
}

export interface Guest {
  /** Everything on the serial console so far. */
  console(): string
  /** Runs as root in the guest; what it wrote, stdout and stderr together. Rejects when QEMU ends before. */
  sh(command: string): Promise<string>
  /** SIGKILL: what the guest had not synced is gone with its memory. */
  cut(): Promise<void>
  /** Resolves once the guest has powered off. */
  off(): Promise<void>
}

const KERNEL = 'console=ttyAMA0 ro net.ifnames=0 fsck.repair=yes panic=10 quiet systemd.show_status=no'

export async function startGuest({ card, stem, work }: Options): Promise<Guest> {
  const socket = join(work, 'shell.sock')
  const child = spawn(
    'qemu-system-aarch64',
    [
      ...['-M', 'virt', '-cpu', 'cortex-a53', '-m', '512M', '-smp', '2', '-accel', 'tcg,thread=multi'],
      ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-no-reboot'],
      ...['-kernel', `${stem}.vmlinuz`, '-initrd', `${stem}.initrd`, '-append', KERNEL],
      ...['-drive', `file=${card},format=raw,if=none,id=card,cache=writeback`, '-device', 'virtio-blk-pci,drive=card'],
      ...['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile=', '-device', 'virtio-rng-pci'],
      ...['-chardev', `socket,id=shell,path=${socket},server=on,wait=off`],
      ...['-device', 'virtio-serial-pci', '-device', 'virtserialport,chardev=shell,name=shell', '-device', 'i6300esb'],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)))
  const ended = once(child, 'exit')
  const line = await connectShell(socket, child)
  return {
    console: () => said,
    sh: (command) =>
      Promise.race([
        line.ask(command),
        ended.then(() => Promise.reject(new Error(`the guest is gone:\n${said.slice(-2_000)}`))),
      ]),
    async cut() {
      child.kill('SIGKILL')
      await ended
    },
    async off() {
      await ended
    },
  }
}

async function connectShell(path: string, child: ChildProcess) {
  const socket = await firstConnection(path, child)
  let heard = ''
  let turn: Promise<unknown> = Promise.resolve()
  let listen = (): void => undefined
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    heard += chunk
    listen()
  })
  // It ends with QEMU, whose end is told elsewhere.
  socket.on('error', () => undefined)
  const answer = (): Promise<string> =>
    new Promise((resolve) => {
      listen = () => {
        const [text, ...rest] = heard.split('\x1e')
        if (rest.length > 0 && text !== undefined) resolve(text.trim())
      }
      listen()
    })
  return {
    ask(command: string): Promise<string> {
      const asked = turn.then(() => {
        heard = ''
        socket.write(`{ ${command}\n} </dev/null 2>&1; printf '\\036'\n`)
        return answer()
      })
      turn = asked.catch(() => undefined)
      return asked
    },
  }
}

async function firstConnection(path: string, child: ChildProcess): Promise<Socket> {
  for (;;) {
    const socket = createConnection(path)
    const connected = await Promise.race([
      once(socket, 'connect').then(
        () => true,
        () => false,
      ),
    ])
    if (connected) return socket
    if (child.exitCode !== null) throw new Error(`QEMU ended with ${child.exitCode} before the guest began`)
    await wait(50)
  }
}
