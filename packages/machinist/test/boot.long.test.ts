/** Debian's Linux boots, runs a command, and hands back nothing but its output and status. */
import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { inGuest, machinist } from './support.ts'

it.each([1, 4])('boots with %d harts', async (harts) => {
  const { status, stdout, stderr } = await inGuest('nproc; uname -sm; grep -c ^processor /proc/cpuinfo; time true', ['--harts', String(harts)])
  // `time` reads the clock through the vDSO, with `rdtime` in U-mode.
  expect(stderr).toMatch(/^real\t0m [\d ]?\d\.\d\ds\n/)
  expect(stdout.toString()).toBe(`${harts}\nLinux riscv64\n${harts}\n`)
  expect(status).toBe(0)
})

it('10 MB come out byte for byte, errors apart', async () => {
  const size = 10 * 2 ** 20
  const { status, stdout, stderr } = await inGuest(`head -c ${size} /dev/urandom >/tmp/r; md5sum </tmp/r >&2; cat /tmp/r; exit 3`)
  expect(stdout.length).toBe(size)
  expect(stderr).toBe(`${createHash('md5').update(stdout).digest('hex')}  -\n`)
  expect(status).toBe(3)
})

it.each([
  ['true', 0, '', ''],
  ["printf 'a\\r\\n\\000\\001\\036\\377\\200z'; echo e >/dev/stderr; exit 1", 1, 'a\r\n\0\x01\x1e\xff\x80z', 'e\n'],
  ['nosuchcommand', 127, '', '/machinist/exec: line 1: nosuchcommand: not found\n'],
  ['sleep 100 & kill -TERM $$', 143, '', 'Terminated\n'],
])('%s', async (command, status, stdout, stderr) => {
  const result = await inGuest(command)
  expect({ ...result, stdout: result.stdout.toString('latin1') }).toEqual({ status, stdout, stderr })
})

it('a guest that panics, or starts over, is an error at once', async () => {
  const panic = await inGuest('echo c >/proc/sysrq-trigger; sleep 1000')
  expect(panic.stderr).toMatch(/^machinist: --exec: the guest .* without an answer/)
  expect(panic.stderr).toContain('Kernel panic')
  expect(panic.status).toBe(1)
  const small = await inGuest('true', ['--memory', '64M'])
  expect(small.stderr).toMatch(/^machinist: memory: too little for a kernel of \d+ MiB and an initrd of \d+ MiB/)
  expect(small.status).toBe(1)
  const reboot = await inGuest('reboot -f; sleep 1000')
  expect(reboot.stderr).toMatch(/^machinist: --exec: the guest .* without an answer/)
  expect(reboot.status).toBe(1)
})

it('2 GiB of RAM cost the host what the guest touches', async () => {
  const { status, stdout, stderr } = await machinist(['--memory', '2G', '--stats', '--exec', "grep MemTotal /proc/meminfo; dd if=/dev/zero of=/tmp/f bs=1M count=100 2>/dev/null; ls -l /tmp/f"])
  expect(status).toBe(0)
  expect(Number(/MemTotal: +(\d+)/.exec(stdout.toString())?.[1])).toBeGreaterThan(1.8 * 2 ** 20)
  const touched = Number(/memory +([\d.]+) MiB touched/.exec(stderr)?.[1])
  expect(touched).toBeGreaterThan(150)
  expect(touched).toBeLessThan(400)
})
