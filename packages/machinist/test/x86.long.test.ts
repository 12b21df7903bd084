/** Debian's stock kernels for x86 on the machine of the command line: disks and a network on PCI, a shared folder, processors, ACPI; saved, and gone on with. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { blank, CLI, inTerminal, machinist, PATIENCE, PROMPT, scratch, start } from './support.ts'

/** Of each: what `uname -m` says, how many processors it has, and what of its interrupts is to be there. */
const KINDS = {
  x86_64: { name: 'x86_64', harts: 2, interrupts: '9:\nLOC:\nRES:\n', pmem: true },
  // Debian has no driver of persistent memory for it.
  i386: { name: 'i686', harts: 1, interrupts: '9:\nLOC:\n', pmem: false },
} as const

const CLOCK = '/sys/devices/system/clocksource/clocksource0/current_clocksource'

describe.each(['x86_64', 'i386'] as const)('a machine for %s', (arch) => {
  const { name, harts, interrupts, pmem } = KINDS[arch]

  it('has all that it is given, by PCI and messages, and hands back output and status', async () => {
    const folder = scratch()
    const disk = join(folder, 'disk')
    blank(disk, 2 ** 20)
    writeFileSync(disk, 'what was there before\n', { flag: 'r+' })
    writeFileSync(join(folder, 'file'), 'shared\n')
    const memory = blank(join(folder, 'memory'), 2 ** 21)
    writeFileSync(memory, 'persistent\n', { flag: 'r+' })
    const command = [
      'uname -m; nproc; head -n 1 /dev/vda', 'mkdir /s; mount -t 9p -o trans=virtio share /s; cat /s/file', "ip -4 addr show eth0 | sed -n 's/.*inet \\([^ ]*\\).*/\\1/p'",
      "grep -c 'MSI.*req[.]0' /proc/interrupts; awk '/LOC:/ && $2 > 10 || /acpi$/ || /RES:/ && $2 + $3 > 0 { print $1 }' /proc/interrupts",
      `cat ${CLOCK}`, 'for each in /sys/bus/virtio/devices/*/driver; do readlink $each; done | sed -n "s/.*virtio_\\([bp]\\)/\\1/p" | sort; ls /dev/vsock',
      ...(pmem ? ['head -n 1 /dev/pmem0; echo kept | dd of=/dev/pmem0 conv=notrunc,fsync 2>/dev/null'] : []), "printf 'écrit' >/s/answer; exit 7",
    ].join('\n')
    const { status, stdout, stderr } = await machinist(['--arch', arch, '--harts', String(harts), '--disk', `${disk},ro,format=raw`, '--share', folder, '--vsock', join(folder, 'sockets'), '--balloon', '16M', ...(pmem ? ['--pmem', memory] : []), '--exec', command])
    expect(stderr).toBe('')
    expect(stdout.toString()).toBe(`${name}\n${harts}\nwhat was there before\nshared\n10.0.2.15/24\n1\n${interrupts}tsc\nballoon\nblk\n${pmem ? 'pmem\n' : ''}/dev/vsock\n${pmem ? 'persistent\n' : ''}`)
    if (pmem) expect(readFileSync(memory, 'latin1').slice(0, 5)).toBe('kept\n')
    expect(readFileSync(join(folder, 'answer'), 'utf8')).toBe('écrit')
    expect(status).toBe(7)
  }, PATIENCE)

  it('is saved with its overlay and open files, and goes on as often as it is restored', async () => {
    const folder = scratch()
    const [file, disk, shared] = [join(folder, 'a.snapshot'), blank(join(folder, 'a.img'), 1 << 20), join(folder, 'shared')]
    mkdirSync(shared)
    writeFileSync(join(shared, 'lines'), 'one\ntwo\n')
    const terminal = inTerminal(['--arch', arch, '--quiet', '--disk', `${disk},overlay,format=raw`, '--share', shared, '--save', file])
    await terminal.wait(PROMPT)
    terminal.type('echo kept >/dev/vda; sync; mkdir -p /mnt; mount -t 9p share /mnt; exec 5</mnt/lines; read line <&5; echo $line-\r')
    await terminal.wait('one-')
    await terminal.wait(PROMPT)
    terminal.type('\x01s')
    await terminal.wait('[status 0, terminal same]')
    for (let i = 0; i < 2; i++) {
      const again = start(process.execPath, [CLI, 'restore', file])
      again.type('echo 3 >/proc/sys/vm/drop_caches; head -n 1 /dev/vda; read line <&5; echo $line-; uname -m\n')
      for (const text of ['kept', 'two-', name]) await again.wait(text)
      again.type('poweroff\n')
      expect(await again.ended).toMatchObject({ status: 0 })
    }
  }, PATIENCE)
})

// Interrupts of a timer are lost then, against which Linux holds a counter that it was not told to trust.
it('a machine for i386 keeps its counter as its clock while the host has no time for it', async () => {
  const running = start(process.execPath, [CLI, '--arch', 'i386', '--exec', `cat ${CLOCK}; dmesg | grep -Ei 'unstable|calibration'`])
  let over = false
  const ended = running.ended.finally(() => { over = true })
  for (let round = 0; round < 20 && !over; round++) {
    await sleep(600)
    running.kill('SIGSTOP')
    await sleep(300)
    running.kill('SIGCONT')
  }
  expect((await ended).stdout.toString()).toBe('tsc\n')
}, PATIENCE)
