/** A booted guest that does what it is told, and its copies. */
import { createHash, randomBytes } from 'node:crypto'
import { virtualSwitch } from '@machinist/network'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { EXEC } from '../src/guest/scripts.ts'
import { bootGuest, type Guest } from '../src/index.ts'

let parent: Guest
const copies: Guest[] = []
beforeAll(async () => {
  parent = await bootGuest()
  parent.pause()
})
afterAll(() => {
  for (const each of [...copies, parent]) each.dispose()
})

async function copy(options?: Parameters<Guest['fork']>[0]): Promise<Guest> {
  const guest = await parent.fork(options)
  copies.push(guest)
  return guest
}

it('gives what commands write, their status, and takes their input', async () => {
  const guest = await copy()
  expect(await guest.exec('echo out; echo err >&2; exit 7')).toMatchObject({ stdout: 'out\n', stderr: 'err\n', status: 7 })
  expect(await guest.exec('kill -TERM $$')).toMatchObject({ stdout: '', stderr: '', status: 143 })
  expect(await guest.exec("printf '%s|' 'it'\"'\"'s' \"a\\\\nb\" \"$HOME\" \"$(pwd)\"\n# a comment\necho é")).toMatchObject({ stdout: "it's|a\\nb|/root|/root|é\n", status: 0 })
  expect(await guest.exec('cat', { stdin: 'from here' })).toMatchObject({ stdout: 'from here' })
  expect(await guest.exec('wc -c; cat', { stdin: '' })).toMatchObject({ stdout: '0\n' })
  // Input that nobody reads is not the next command's.
  expect(await guest.exec('true', { stdin: randomBytes(200_000) })).toMatchObject({ status: 0 })
  expect(await guest.text('echo still here')).toBe('still here')
  for (const size of [1, 65_535, 65_536, 65_537, 3_000_000]) {
    const bytes = randomBytes(size)
    const { stdoutBytes, stderr } = await guest.exec('tee /tmp/copy; sha256sum </tmp/copy >&2', { stdin: bytes })
    expect(Buffer.from(stdoutBytes).equals(bytes)).toBe(true)
    expect(stderr).toBe(`${createHash('sha256').update(bytes).digest('hex')}  -\n`)
  }
})

it('has files', async () => {
  const guest = await copy()
  const bytes = randomBytes(100_000)
  await guest.write("/srv/it's/deep/file", bytes, { mode: 0o751 })
  expect(Buffer.from(await guest.read("/srv/it's/deep/file")).equals(bytes)).toBe(true)
  expect(await guest.text("stat -c %a '/srv/it'\\''s/deep/file'")).toBe('751')
  await guest.write('/tmp/empty', '')
  expect(await guest.read('/tmp/empty')).toEqual(new Uint8Array())
  await expect(guest.read('/nothing')).rejects.toMatchObject({ code: 'exec-status', message: expect.stringContaining('No such file') })
  await expect(guest.write('/proc/nothing', 'x')).rejects.toMatchObject({ code: 'exec-status' })
})

it('copies go their own ways, several commands at a time, and copies of copies', async () => {
  const guests = await Promise.all(Array.from({ length: 12 }, () => copy()))
  const answers = await Promise.all(guests.map((guest, index) => guest.text(`echo ${index} >>/tmp/who; sleep 0.1; cat /tmp/who`)))
  expect(answers).toEqual(guests.map((_, index) => String(index)))
  const [first] = guests
  if (first === undefined) throw new Error('no copy')
  const many = await Promise.all(Array.from({ length: 20 }, (_, index) => first.text(`sleep 0.05; echo ${index}`)))
  expect(many).toEqual(many.map((_, index) => String(index)))
  const second = await first.fork()
  copies.push(second)
  first.dispose()
  expect(await second.text('cat /tmp/who')).toBe('0')
  await expect(first.exec('true')).rejects.toMatchObject({ code: 'guest-off' })
})

it('limits time, ends what takes too long with all that it began, and goes on', async () => {
  const guest = await copy()
  const late = guest.exec('echo begun; sh -c "sleep 1000; true" & while :; do :; done', { timeout: 5000 })
  await expect(late).rejects.toMatchObject({ code: 'exec-timeout', message: expect.stringMatching(/5000 ms, and was ended[^]*begun/) })
  expect(await guest.text('ps')).not.toMatch(/sleep 1000|while :/)
  for (let run = 0; run < 10; run++) await guest.exec('true')
  // What stays in the background does not hold the answer up, and lives on.
  expect(await guest.text('sleep 1000 & echo started')).toBe('started')
  expect(await guest.text('ps')).toContain('sleep 1000')
  expect(guest.report()).toMatch(/\$ sleep 1000 & echo started {3}→ status 0, [\d.]+ s\n {4}started\n/)
})

it('what carries output waits for more only when it is in its read: on its way there it may yet find some', async () => {
  const guest = await copy()
  const [progress = ''] = /^progress\(\) \{\n[^]*?^\}$/m.exec(EXEC) ?? []
  const at = (pump: string): Promise<string> => guest.text([
    'work=/tmp/carried; mkdir -p $work; rm -f $work/in; mkfifo $work/in; exec 8<>$work/in; echo reading 7 >$work/1.state', progress,
    `sh -c '${pump}; true' <$work/in & pump=$!`, 'until [ -n "$(cat /proc/$pump/task/$pump/children)" ]; do usleep 1000; done', 'usleep 300000; progress $pump 1; kill $pump',
  ].join('\n'))
  expect([await at('sleep 1000'), await at('cat')]).toEqual(['', 'reading 7'])
})

it('tells of a guest that goes', async () => {
  const [off, panicking, dead] = [await copy(), await copy(), await copy()]
  await expect(off.exec('poweroff -f')).rejects.toMatchObject({ code: 'guest-off', message: expect.stringContaining('the guest switched itself off') })
  await expect(off.fork()).rejects.toMatchObject({ code: 'guest-off' })
  const panic = panicking.exec('echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger')
  await expect(panic).rejects.toMatchObject({ code: 'guest-off', message: expect.stringMatching(/started over[^]*Kernel panic/) })
  const waiting = dead.exec('sleep 1000')
  const refused = expect(waiting).rejects.toMatchObject({ code: 'guest-off', message: expect.stringContaining('it was switched off') })
  dead.powerOff()
  await refused
  expect(dead.report()).toMatch(/^guest [\w-]+: it was switched off\n/)
})

it('has a console to type at', async () => {
  const guest = await copy()
  guest.console.type('echo $((6 * 7))\n')
  expect(await guest.console.expect(/^4\d/m)).toBe('42')
  await guest.console.expect('# ')
  guest.console.type('read name; echo "hello $name"\n')
  await guest.console.expect('hello $name')
  guest.console.type('you\n')
  expect(await guest.console.expect('hello you')).toBe('hello you')
  // The prompt is from before the copy.
  expect(guest.console.screen).toMatch(/~# echo \$\(\(6 \* 7\)\)\n42\n/)
  await expect(guest.console.expect('never', { timeout: 50 })).rejects.toMatchObject({ code: 'console-timeout', message: expect.stringContaining('hello you') })
})

it('copies on a switch find each other, also by IPv6, and one that has none has none', async () => {
  const lan = virtualSwitch()
  const one = await copy({ name: 'one', network: lan, address: '10.0.0.1' })
  const two = await copy({ name: 'two', network: lan, address: 'fd00::2' })
  const three = await copy({ name: 'three', network: lan, address: '10.0.0.3/8' })
  expect(await two.text('hostname')).toBe('two')
  expect(await three.text('ping -c 1 -W 60 10.0.0.1 | grep -o "1 packets received"')).toBe('1 packets received')
  await one.text('ip addr add fd00::1/64 dev eth0')
  expect(await two.text('ping -c 1 -W 60 fd00::1 | grep -o "1 packets received"')).toBe('1 packets received')
  const stations = await Promise.all([one, two, three].map((guest) => guest.text('cat /sys/class/net/eth0/address')))
  expect(new Set(stations).size).toBe(3)
  const alone = await copy()
  expect(await alone.text('cat /sys/class/net/eth0/carrier')).toBe('0')
  await expect(copy({ network: lan, address: '10.0.0.1; reboot' })).rejects.toMatchObject({ code: 'guest-address' })
})
