/** Booted guests for x86 and copies of them: what they do, one network with RISC-V, GDB, a profile. */
import { randomBytes } from 'node:crypto'
import { virtualSwitch } from '@machinist/network'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listenForGdb } from '../src/gdb/listen.ts'
import { gdbTarget } from '../src/gdb/option.ts'
import type { GuestArchitecture } from '../src/guest/index.ts'
import { bootGuest, type Guest } from '../src/index.ts'
import { ProfileBuilder } from '../src/profile/cpu-profile.ts'
import { SymbolTable } from '../src/profile/symbols.ts'
import { askGdb, gdbValues } from './gdb.ts'

const MINUTES = 60_000
const MACHINES: Readonly<Record<GuestArchitecture, string>> = { riscv64: 'riscv64', amd64: 'x86_64', i386: 'i686' }
const parents = new Map<GuestArchitecture, Guest>()
const copies: Guest[] = []

beforeAll(async () => {
  for (const architecture of ['riscv64', 'amd64', 'i386'] as const) {
    const guest = await bootGuest({ name: architecture, prepare: { architecture }, timeout: 20 * MINUTES })
    parents.set(architecture, guest)
    guest.pause()
  }
}, 40 * MINUTES)
afterAll(() => {
  for (const each of [...copies, ...parents.values()]) each.dispose()
})

async function copy(architecture: GuestArchitecture, options?: Parameters<Guest['fork']>[0]): Promise<Guest> {
  const guest = await parents.get(architecture)?.fork(options)
  if (guest === undefined) throw new Error(`${architecture} did not boot`)
  copies.push(guest)
  return guest
}

describe.each(['amd64', 'i386'] as const)('a guest for %s', (architecture) => {
  it('does what it is told, and its copies go their own ways', async () => {
    const [one, two] = [await copy(architecture), await copy(architecture)]
    expect(await Promise.all([one, two].map((guest, index) => guest.text(`uname -m; echo ${index} >>/tmp/who; sleep 0.1; cat /tmp/who`)))).toEqual([0, 1].map((index) => `${MACHINES[architecture]}\n${index}`))
    const bytes = randomBytes(300_000)
    const { stdoutBytes, status } = await one.exec('tee /tmp/sent; exit 7', { stdin: bytes })
    expect([status, Buffer.from(stdoutBytes).equals(bytes)]).toEqual([7, true])
    const third = await one.fork()
    copies.push(third)
    one.dispose()
    expect(await third.text('cat /tmp/who; wc -c </tmp/sent')).toBe('0\n300000')
  }, 20 * MINUTES)

  it('is stopped by GDB in its kernel', async () => {
    const guest = await copy(architecture)
    const kernel = `0x${/^([0-9a-f]+)/.exec(await guest.text("grep -m 1 -E ' T __(x64|ia32)_sys_newuname$' /proc/kallsyms"))?.[1] ?? '0'}`
    const door = await listenForGdb(guest.machine, { host: '127.0.0.1', port: 0 })
    try {
      const answer = guest.exec('until [ -e /tmp/enough ]; do uname -s >/dev/null; usleep 100000; done; echo over', { timeout: 20 * MINUTES })
      const said = await askGdb(gdbTarget(door.address), '/dev/null', [
        `break *${kernel}`, 'continue', `print $pc == ${kernel}`, 'print $cs & 3', 'monitor info harts', 'stepi', `print $pc > ${kernel} && $pc < ${kernel} + 16`, 'delete', 'detach',
      ])
      expect(gdbValues(said)).toEqual(['1', '0', '1'])
      expect(said).toContain(`hart 0: pc ${kernel}, supervisor mode`)
      await guest.write('/tmp/enough', '')
      expect(await answer).toMatchObject({ stdout: 'over\n', status: 0 })
    } finally {
      door.close()
    }
  }, 20 * MINUTES)

  it('has a profile with the names of its kernel', async () => {
    const guest = await copy(architecture)
    const table = new SymbolTable()
    table.add('kallsyms', await guest.read('/proc/kallsyms'))
    const builder = new ProfileBuilder(table, guest.machine.vcpus.length)
    guest.machine.on('sample', (sample) => { builder.add(sample) })
    guest.machine.sample({ interval: 1e6 })
    await guest.exec('dd if=/dev/zero of=/dev/null bs=1M count=200 2>/dev/null; seq 1 20000 | sha256sum')
    guest.machine.sample(null)
    const names = new Set(builder.build().nodes.map(({ callFrame }) => callFrame.functionName))
    expect([...names].filter((name) => /clear_user|read_zero|iov_iter_zero|rep_stos/.test(name))).not.toEqual([])
  }, 20 * MINUTES)
})

it('copies for three instruction sets are on one network', async () => {
  const lan = virtualSwitch()
  const names = ['riscv64', 'amd64', 'i386'] as const
  const guests = await Promise.all(names.map((architecture, index) => copy(architecture, { name: architecture, network: lan, address: `10.0.0.${index + 1}/24` })))
  const [server, ...clients] = guests
  await server?.exec('mkdir -p /srv; head -c 200000 /dev/urandom >/srv/file; httpd -h /srv')
  const sum = await server?.text('md5sum </srv/file')
  expect(await Promise.all(clients.map((guest) => guest.text('wget -qO- http://10.0.0.1/file | md5sum', { timeout: 10 * MINUTES })))).toEqual([sum, sum])
  expect(await guests[2]?.text('ping -c 1 -W 60 10.0.0.2 | grep -o "1 packets received"')).toBe('1 packets received')
  expect(new Set(await Promise.all(guests.map((guest) => guest.text('cat /sys/class/net/eth0/address')))).size).toBe(3)
}, 20 * MINUTES)
