// The README's "send your own frame" recipes, run as they are written but for the ports and the folder of this test.
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bramble, ROOT, removeFolder, startBramble } from '../harness/bramble.ts'

const readme = readFileSync(`${ROOT}README.md`, 'utf8')
const section = readme.slice(readme.indexOf('## Send your own frame'))

/** The first fenced block of `language` after the recipe's bold name. */
function recipe(name: string, language: string): string {
  const after = section.slice(section.indexOf(`**${name}**`))
  const block = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(after)?.[1]
  if (block === undefined) throw new Error(`the README has no ${language} block for ${name}`)
  return block
}

let bramble: Bramble
beforeAll(async () => {
  bramble = await startBramble({ flags: ['--no-demo', '--agents', '1'] })
}, 60_000)
afterAll(async () => {
  await bramble.stop()
  await removeFolder(bramble.data)
})

function here(text: string): string {
  const { mqtt, console } = bramble.ready
  return text
    .replaceAll('data/ready.json', `${bramble.data}/ready.json`)
    .replaceAll("require('./", "require('")
    .replaceAll('-h 127.0.0.1', `-h 127.0.0.1 -p ${new URL(mqtt.url).port}`)
    .replaceAll('http://127.0.0.1:8080', console.url)
}

async function run(command: string, args: readonly string[], stdin: string): Promise<string> {
  const child = spawn(command, args, { cwd: ROOT, stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(stdin)
  let output = ''
  for await (const chunk of child.stdout) output += chunk
  return output
}

const installed = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0

describe("the README's recipes", () => {
  it('mosquitto_pub', async ({ skip }) => {
    if (spawnSync('mosquitto_pub', ['--help']).error) skip('skipped: mosquitto is not installed')
    const output = await run('bash', ['-e'], here(recipe('mosquitto_pub', 'sh')))
    expect(JSON.parse(output).result.objects[0].label).toBe('cat')
  })

  it('curl', async ({ skip }) => {
    if (!installed('curl', '--version')) skip('skipped: curl is not installed')
    const output = await run('bash', ['-e'], here(recipe('curl', 'sh')))
    expect(JSON.parse(output).result.labels[0].label).toBe('espresso')
  })

  it('mqtt.js', async () => {
    const output = await run(process.execPath, ['--input-type=module', '-'], here(recipe('mqtt.js', 'js')))
    expect(output).toContain("kind: 'classification'")
  })

  it('Python', async ({ skip }) => {
    const python = ['python3', '/usr/bin/python3'].find((command) =>
      installed(command, '-c', 'import paho.mqtt.client'),
    )
    if (python === undefined) return skip('skipped: Python with paho is not installed')
    const output = await run(python, ['-'], here(recipe('Python', 'python')))
    expect(JSON.parse(output).result.kind).toBe('detection')
  })
})
