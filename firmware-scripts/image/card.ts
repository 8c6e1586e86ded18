// The image file: a partition table and three partitions, each made as a file and copied to its place. Nothing is mounted.
import {
  chmodSync,
  closeSync,
  copyFileSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { join } from 'node:path'
import { BuildError } from '../deb/packages.ts'
import { run } from './commands.ts'

const MIB = 2 ** 20
/** Where the first partition begins; Raspberry Pi OS has it there too. */
const FIRST_MIB = 4
/** Kernel, initramfs and firmware are 45. */
const BOOT_MIB = 96
/** Grows to the end of the card at the first boot. */
const DATA_MIB = 128

interface Options {
  /** Holds the parts while they are made. */
  readonly work: string
  /** Content of the root partition. */
  readonly root: string
  /** Content of the boot partition. */
  readonly boot: string
  readonly image: string
}

export function makeCard({ work, root, boot, image }: Options): void {
  const [fat, system, data] = [join(work, 'boot.fat'), join(work, 'root.ext4'), join(work, 'data.ext4')]
  makeFat(boot, fat)
  const rootMiB = Math.ceil(mibIn(root) * 1.08) + 32
  makeExt4({ label: 'bramble-root', from: root, mib: rootMiB, file: system, more: ['-m', '0', '-J', 'size=4'] })
  layOutData(join(work, 'data'), root)
  makeExt4({ label: 'bramble-data', from: join(work, 'data'), mib: DATA_MIB, file: data, more: ['-m', '1'] })
  const parts = [
    { file: fat, mib: BOOT_MIB, type: 'c' },
    { file: system, mib: rootMiB, type: '83' },
    { file: data, mib: DATA_MIB, type: '83' },
  ]
  empty(image, FIRST_MIB + parts.reduce((sum, { mib }) => sum + mib, 0))
  let startMib = FIRST_MIB
  const table = parts.map(({ mib, type }) => {
    const line = `start=${startMib}MiB, size=${mib}MiB, type=${type}\n`
    startMib += mib
    return line
  })
  run('sfdisk', ['--quiet', image], { input: `label: dos\n${table.join('')}` })
  startMib = FIRST_MIB
  for (const { file, mib } of parts) {
    run('dd', [`if=${file}`, `of=${image}`, 'bs=1M', `seek=${startMib}`, 'conv=notrunc,sparse', 'status=none'])
    rmSync(file)
    startMib += mib
  }
}

function empty(file: string, mib: number): void {
  const handle = openSync(file, 'w')
  ftruncateSync(handle, mib * MIB)
  closeSync(handle)
}

function makeFat(boot: string, file: string): void {
  empty(file, BOOT_MIB)
  run('mkfs.vfat', ['-F', '32', '-n', 'BRAMBLE', file])
  const names = readdirSync(boot).map((name) => join(boot, name))
  run('mcopy', ['-i', file, ...names, '::/'])
}

interface Ext4 {
  readonly label: string
  readonly from: string
  readonly mib: number
  readonly file: string
  readonly more: readonly string[]
}
const makeExt4 = ({ label, from, mib, file, more }: Ext4): Buffer =>
  run('mke2fs', ['-q', '-t', 'ext4', '-b', '4096', '-L', label, '-d', from, ...more, file, `${mib}M`])

/** As they lie here, in whole blocks; links are not followed. */
const mibIn = (folder: string): number => Number.parseInt(run('du', ['-sxm', folder]).toString(), 10)

/** What init mounts elsewhere; the agent's folder belongs to the user that its package made. */
function layOutData(data: string, root: string): void {
  for (const folder of ['agent', 'systemd', 'etc/upper', 'etc/work']) mkdirSync(join(data, folder), { recursive: true })
  const line = /^bramble-agent:[^:]*:(\d+):(\d+):/m.exec(readFileSync(join(root, 'etc/passwd'), 'utf8'))
  if (!line) throw new BuildError("the agent's package made no user bramble-agent")
  run('chown', [`${line[1]}:${line[2]}`, join(data, 'agent')])
  run('chmod', ['0700', join(data, 'agent')])
}

/** Always of the same name: a gigabyte that an interrupted build left makes way for the next. */
export function emptyFolder(folder: string): string {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  return folder
}

interface Release {
  readonly card: string
  /** On the same file system; .xz comes beside it. */
  readonly image: string
  /** Nobody else shall read the two. */
  readonly holdsToken: boolean
  /** Compressed in a third of the time, and larger. */
  readonly isQuick: boolean
}

/** Gives the card its name and compresses it. */
export function release({ card, image, holdsToken, isQuick }: Release): void {
  chmodSync(card, holdsToken ? 0o600 : 0o644)
  renameSync(card, image)
  // It takes the mode over.
  run('xz', ['--force', '--keep', '-T0', isQuick ? '-0' : '-3', image])
}

export function keepKernel(boot: string, stem: string): void {
  copyFileSync(join(boot, 'vmlinuz'), `${stem}.vmlinuz`)
  copyFileSync(join(boot, 'initrd.img'), `${stem}.initrd`)
}
