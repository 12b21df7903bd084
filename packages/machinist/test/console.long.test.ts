/** Both kinds of consoles, through pipes and terminals: nothing is lost either way, and an end is an end. */
import { execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createServer, type AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { CLI, inTerminal, machinist, PROMPT, start } from './support.ts'

describe.each(['ttyS0', 'hvc0'])('%s', (console) => {
  const flags = ['--quiet', '--console', console]

  it('what was typed before the guest listens is what its shell runs; the end of the input ends it', async () => {
    const { status, stdout, stderr } = await machinist(flags, { input: 'echo A$((1 + 1))C; tty\nread line; echo "<$line>"\nlast\ncat; echo no newline' })
    const text = stdout.toString()
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(text).toContain(`\r\nA2C\r\n/dev/${console}\r\n`)
    expect(text).toContain('\r\n<last>\r\n')
    expect(text).toContain('\r\nno newline\r\n')
    expect(text).not.toContain('\0')
  })

  it('input that is empty ends a shell at once', async () => {
    expect((await machinist(flags)).status).toBe(0)
  })

  it('a script longer than anything on the way keeps arrives whole', async () => {
    // 800 KB: Linux's terminals keep 640 KB before they drop.
    const lines = Array.from({ length: 400 }, (_, index) => `: ${'x'.repeat(2000)}; echo ${index} >>/tmp/out`)
    const sum = createHash('sha256').update(lines.map((_, index) => `${index}\n`).join('')).digest('hex')
    const { status, stdout } = await machinist(flags, { input: ['stty -echo; exec sh', ...lines, 'sha256sum /tmp/out', ''].join('\n') })
    expect(status).toBe(0)
    expect(stdout.toString()).toContain(sum)
  })

  it('all that is printed arrives, however late its reader', async () => {
    const child = spawn(process.execPath, [CLI, 'run', ...flags], { stdio: ['pipe', 'pipe', 'inherit'] })
    child.stdin.end('stty -opost; seq 1 200000; poweroff\n')
    // Nobody reads until long after it has begun.
    await new Promise((resolve) => { setTimeout(resolve, 15_000) })
    let text = ''
    for await (const chunk of child.stdout) text += String(chunk)
    const numbers = text.split('\n').filter((line) => /^\d+$/.test(line))
    expect([numbers.length, numbers.at(-1)]).toEqual([200_000, '200000'])
    expect(numbers.every((line, index) => line === String(index + 1))).toBe(true)
  })
})

it('a terminal that changes its size tells the guest, on hvc0', async () => {
  const session = inTerminal(['--quiet', '--console', 'hvc0'])
  await session.wait(PROMPT)
  session.type('stty size\r')
  await session.wait('\r\n33 101\r\n')
  // The terminal that script(1) made for its shell.
  const pid = execFileSync('pgrep', ['-P', String(session.pid)]).toString().trim().split('\n')[0] ?? ''
  const tty = execFileSync('ps', ['-o', 'tty=', '-p', pid]).toString().trim()
  execFileSync('stty', ['-F', `/dev/${tty}`, 'rows', '44', 'cols', '132'])
  session.type('until [ "$(stty size)" = "44 132" ]; do sleep 0.1; done; stty size\r')
  await session.wait('\r\n44 132\r\n')
  session.type('poweroff\r')
  await session.wait('[status 0, terminal same]')
})

describe('--exec', () => {
  it('takes standard input, any bytes of it, to its end', async () => {
    const input = randomBytes(3_000_000)
    const { status, stdout, stderr } = await start(process.execPath, [CLI, 'run', '--exec', 'sha256sum'], { input }).ended
    expect({ status, stderr, text: stdout.toString() }).toEqual({ status: 0, stderr: '', text: `${createHash('sha256').update(input).digest('hex')}  -\n` })
  })

  it('gives all that the command wrote, and its status, to a reader who comes when it is long over', async () => {
    const child = spawn(process.execPath, [CLI, 'run', '--exec', 'seq 1 200000; exit 5'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const status = new Promise((resolve) => { child.on('close', resolve) })
    await new Promise((resolve) => { setTimeout(resolve, 15_000) })
    let text = ''
    for await (const chunk of child.stdout) text += String(chunk)
    expect(text === Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join('')).toBe(true)
    expect(await status).toBe(5)
  })

  it.each(['stdout', 'stderr'] as const)('ends when whoever reads its %s goes', async (name) => {
    const child = spawn(process.execPath, [CLI, 'run', '--exec', name === 'stdout' ? 'yes' : 'yes >&2'], { stdio: ['ignore', 'pipe', 'pipe'] })
    child[name].once('data', () => { child[name].destroy() })
    let other = ''
    child[name === 'stdout' ? 'stderr' : 'stdout'].on('data', (chunk) => { other += String(chunk) })
    expect([await new Promise((resolve) => { child.on('close', resolve) }), other]).toEqual([141, ''])
  })

  it('ends with the command, although there is more input', async () => {
    const running = start(process.execPath, [CLI, 'run', '--exec', 'head -c 3; exit 4'])
    for (let count = 0; count < 100; count++) running.type('abcdef'.repeat(10_000))
    expect(await running.ended).toMatchObject({ status: 4, stderr: '' })
  })

  it('sees the end of no input', async () => {
    expect((await machinist(['--exec', 'cat; echo end'])).stdout.toString()).toBe('end\n')
  })
})

it('refuses to start when the port of a forward is taken', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  const { status, stdout, stderr } = await machinist(['--exec', 'true', '--net', `nat,forward=tcp:127.0.0.1:${port}-:22`])
  server.close()
  expect({ status, out: stdout.toString() }).toEqual({ status: 1, out: '' })
  expect(stderr).toMatch(/^machinist: forward tcp:127\.0\.0\.1:\d+-:22: the host does not give its port: it is taken/)
})
