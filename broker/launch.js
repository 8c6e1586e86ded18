// Starts a TypeScript entry point, whatever Node the shell has: plain JavaScript, because an old Node cannot even read a .ts file.
// Used by the package's bin files:  #!/usr/bin/env node
//                                   import { launch } from '../broker/launch.js'
//                                   await launch(new URL('./main.ts', import.meta.url))
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The first release that runs TypeScript as it is (without a flag); better-sqlite3 13 crashes on 20 without a word. */
const NEEDED = [22, 18]

/** @param {string} version as in process.versions.node */
export function isNodeNewEnough(version) {
  const [major, minor] = version.split('.').map(Number)
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])
}

/** `npm ci` brings a Node 24 for linux x64 and arm64; `npm run` and `npx` use it, a plain shell does not. */
const ownNode = fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url))

/** @param {string} node @param {readonly string[]} args */
function runWith(node, args) {
  const child = spawn(node, args, { stdio: 'inherit' })
  // A terminal signals the whole group; a supervisor signals only this process.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    process.stderr.write(`${node} could not be started: ${error.message}\n`)
    process.exitCode = 2
  })
  child.on('exit', (code, signal) => {
    if (signal) process.removeAllListeners(signal)
    if (signal) process.kill(process.pid, signal)
    else process.exitCode = code ?? 1
  })
}

/** @param {string} flag */
const nameOf = (flag) => flag.split('=')[0]

/**
 * Those that are not in force; one that whoever started this process chose otherwise stays as it is.
 * @param {readonly string[]} flags
 */
export function missingFlags(flags) {
  const given = process.execArgv.map(nameOf)
  return flags.filter((flag) => !given.includes(nameOf(flag)))
}

/**
 * Replaces this process: V8 reads some flags, and the allocator its settings, only at their start. It stays the same process
 * to its supervisor (execve keeps the pid and the standard streams). Returns on Node 22 before 22.15, which has no execve.
 * @param {string} main
 * @param {readonly string[]} flags
 * @param {NodeJS.ProcessEnv} env
 */
export function restart(main, flags, env) {
  const args = [...process.execArgv, ...missingFlags(flags), main, ...process.argv.slice(2)]
  process.execve?.(process.execPath, [process.execPath, ...args], env)
}

/**
 * Runs `main` with this Node when it is new enough, else with the one that npm installed, else says what to do (exit code 2).
 * @param {URL} main
 * @param {{ flags?: readonly string[], version?: string, node?: string }} [options] `flags`: V8's, useful but not needed
 */
export async function launch(main, { flags = [], version = process.versions.node, node = ownNode } = {}) {
  if (isNodeNewEnough(version)) {
    if (missingFlags(flags).length > 0) restart(fileURLToPath(main), flags, process.env)
    await import(main.href)
  } else if (existsSync(node)) runWith(node, [...flags, fileURLToPath(main), ...process.argv.slice(2)])
  else {
    process.stderr.write(
      `Bramble needs Node ${NEEDED.join('.')} or newer and this is ${version}: install a newer Node, or run \`npm ci\` here, which brings one.\n`,
    )
    process.exitCode = 2
  }
}

/** As a shell tells of SIGPIPE. */
const NOBODY_READS = 141

/** For a command whose output somebody may cut short: `doctor | head` has read enough, which is no fault, and there is nothing more to say. */
export function endWithReader() {
  process.stdout.on('error', (/** @type {NodeJS.ErrnoException} */ error) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(NOBODY_READS)
  })
}
