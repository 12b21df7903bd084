/** Debian's stock kernel for x86 on the machine of the command line: a disk and a network on PCI with MSI-X, a shared folder, two processors, ACPI. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { machinist } from './support.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-x86-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

it('amd64 has all that it is given, by PCI and messages, and hands back output and status', async () => {
  const disk = join(folder, 'disk')
  writeFileSync(disk, 'what was there before\n')
  truncateSync(disk, 2 ** 20)
  writeFileSync(join(folder, 'file'), 'shared\n')
  const command = [
    'uname -m; nproc; head -n 1 /dev/vda', 'mkdir /s; mount -t 9p -o trans=virtio share /s; cat /s/file', "ip -4 addr show eth0 | sed -n 's/.*inet \\([^ ]*\\).*/\\1/p'",
    "grep -c 'MSIX.*req[.]0' /proc/interrupts; awk '/LOC:/ && $2 > 10 && $3 > 10 || /acpi$/ || /RES:/ && $2 + $3 > 0 { print $1 }' /proc/interrupts", 'cat /sys/devices/system/clocksource/clocksource0/current_clocksource', "printf 'écrit' >/s/answer; exit 7",
  ].join('\n')
  const { status, stdout, stderr } = await machinist(['--arch', 'x86_64', '--harts', '2', '--disk', `${disk},ro`, '--share', folder, '--exec', command])
  expect(stderr).toBe('')
  expect(stdout.toString()).toBe('x86_64\n2\nwhat was there before\nshared\n10.0.2.15/24\n1\n9:\nLOC:\nRES:\ntsc\n')
  expect(status).toBe(7)
})
