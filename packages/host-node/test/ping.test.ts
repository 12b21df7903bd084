/** Echo requests as an ordinary user sends them, through the sockets that net.ipv4.ping_group_range allows. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildSync } from 'esbuild'
import { expect, test } from 'vitest'

/** Runs a command as root in a network of its own. */
const inNetwork = (command: string): { readonly status: number | null, readonly stdout: string, readonly stderr: string } =>
  spawnSync('unshare', ['--net', 'sh', '-c', `ip link set lo up && ${command}`], { encoding: 'utf8', timeout: 240_000, env: { ...process.env, NODE_PATH: join(import.meta.dirname, '../node_modules') } })

/** Why the test cannot run here; null when it can. */
function obstacle(): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'it needs root on Linux, to make a network in which an ordinary user may ping'
  const { status, stderr } = inNetwork('test -w /proc/sys/net/ipv4/ping_group_range')
  return status === 0 ? null : `it needs the commands unshare and ip, and a /proc/sys that may be written: ${stderr.split('\n')[0] ?? ''}`
}

// In the network, as nobody: the families in which an echo comes back, and how an address without a host ends. Before it, whether a raw socket is to be had.
const PROGRAM = `
import { libc } from './src/system/libc.ts'
import { nodeSockets } from './src/network/sockets.ts'
const system = libc()
process.setgroups([])
process.setgid(65534)
process.setuid(65534)
const sockets = nodeSockets()
const ask = (address) => new Promise((done) => { if (!sockets.ping(Uint8Array.from(address), Buffer.from('are you there?'), done)) done('refused') })
const loopback6 = [...new Array(15).fill(0), 1]
const answers = [system.socket(2, 3, 1) >= 0 ? 'raw' : 'ordinary']
for (const address of [[127, 0, 0, 1], [127, 1, 2, 3], loopback6, [192, 0, 2, 1]]) answers.push(await ask(address))
// Many at once are told apart.
answers.push((await Promise.all(Array.from({ length: 50 }, (_, index) => ask([127, 0, 0, 1 + index])))).every((answer) => answer === true))
console.log(JSON.stringify(answers))
sockets.close()
`

const why = obstacle()
test.skipIf(why !== null)(`an ordinary user's echo requests are answered where the system allows them, and refused where it does not${why === null ? '' : `: skipped, ${why}`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-ping-'))
  try {
    const program = join(folder, 'ping.mjs')
    buildSync({
      stdin: { contents: PROGRAM, resolveDir: join(import.meta.dirname, '..'), loader: 'ts' }, outfile: program, bundle: true, platform: 'node', format: 'esm', target: 'node20',
      conditions: ['@machinist/source'], external: ['koffi'], logLevel: 'error',
    })
    const ask = (range: string): unknown => {
      const { stdout, stderr } = inNetwork(`echo '${range}' >/proc/sys/net/ipv4/ping_group_range && exec '${process.execPath}' '${program}'`)
      expect(stderr).toBe('')
      return JSON.parse(stdout)
    }
    expect(ask('0 2147483647')).toEqual(['ordinary', true, true, true, false, true])
    expect(ask('1 0')).toEqual(['ordinary', 'refused', 'refused', 'refused', 'refused', false])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
