/** Debian's SeaBIOS and its VGA BIOS, unmodified, on the `pc` machine; compared with QEMU's. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pc, type PcOptions } from '@machinist/boards'
import { inputSource, type MemoryDisplay, memoryDisplay, textOf } from '@machinist/display'
import { collector, nodeHost } from '@machinist/host-node'
import { createMachine, type Machine } from '@machinist/machine'
import { preparePcFirmware } from '@machinist/machinist'
import { afterAll, expect, it } from 'vitest'
import { bootDisk } from './pc/boot-sector.ts'
import { qemuScreen } from './pc/qemu-screen.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-pc-'))
afterAll(() => { rmSync(folder, { recursive: true }) })
const { bios, vgaBios, version } = await preparePcFirmware()
const read = (path: string): Uint8Array => new Uint8Array(readFileSync(path))

function make(options: Partial<PcOptions>): { readonly machine: Machine; readonly screen: MemoryDisplay; debug(): string; shown(): string[] } {
  const [debug, screen] = [collector(), memoryDisplay()]
  const blueprint = pc({ firmware: read(bios), files: [{ name: 'vgaroms/vgabios.bin', bytes: read(vgaBios) }], debug, screen, input: { keyboard: inputSource(), mouse: inputSource() }, time: { instructionsPerSecond: 1e8 }, ...options })
  return {
    machine: createMachine(blueprint, nodeHost()), screen, debug: () => debug.text(),
    shown() {
      const text = screen.screens[0]?.text ?? null
      return text === null ? [] : textOf(text)
    },
  }
}

/** Goes on until something is so, or for 30 seconds of virtual time. */
function runUntil(machine: Machine, is: () => boolean): void {
  machine.start({ drive: 'caller' })
  while (machine.state === 'running' && machine.stats.virtualTime < 30e9 && !is()) machine.runSlice(1e6)
}

it('SeaBIOS finds its machine, places its tables, and says on the screen that there is nothing to boot', () => {
  const { machine, debug, shown } = make({ harts: 2 })
  runUntil(machine, () => shown().some((line) => line.startsWith('No bootable device')))
  const text = debug()
  for (const line of [
    'Running on QEMU (i440fx)', 'QEMU fw_cfg DMA interface supported', 'PCI: init bdf=00:00.0 id=8086:1237', 'PCI: init bdf=00:01.0 id=8086:7000', 'Found 2 cpu(s) max supported 2 cpu(s)', 'ACPI: parse DSDT', 'VBE DISPI: lfb_addr=', 'PS2 keyboard initialized',
  ]) expect(text).toContain(line)
  expect(shown()[0]).toMatch(/^SeaBIOS \(version /)
  expect(shown()[0]).toContain(version.split('-')[0] ?? '')
  expect(shown()).toContain('Booting from Hard Disk...')
  machine.dispose()
})

it('it finds disks and compact discs on IDE, and boots the first', async () => {
  const [disk, disc] = [join(folder, 'ide-disk'), join(folder, 'disc')]
  writeFileSync(disk, bootDisk('Sector 2 was read.\r\nRuns.'))
  writeFileSync(disc, new Uint8Array(64 * 2048))
  const { machine, shown, debug } = make({ ide: [{ drive: 'disk', medium: { type: 'disk', path: disk } }, { drive: 'cdrom', medium: { type: 'disk', path: disc, mode: 'ro' } }] })
  machine.start()
  await expect.poll(shown, { timeout: 240_000, interval: 100 }).toContain('Runs.')
  expect(shown()).toEqual(expect.arrayContaining(['Booting from Hard Disk...', 'Sector 2 was read.']))
  for (const line of ['ATA controller 1 at 1f0/3f4/', 'ata0-0: MACHINIST HARDDISK ATA-6 Hard-Disk', 'DVD/CD [ata0-1: MACHINIST CD-ROM ATAPI-6 DVD/CD]']) expect(debug()).toContain(line)
  machine.dispose()
})

it("it boots a disk, which shows what it shows on QEMU's PC", async (context) => {
  const disk = join(folder, 'disk')
  writeFileSync(disk, bootDisk('Sector 2 was read.\r\nRuns.'))
  const { machine, screen, shown } = make({ disks: [{ type: 'disk', path: disk }] })
  // Files are read between slices.
  machine.start()
  const end = Date.now() + 240_000
  while (machine.state === 'running' && Date.now() < end && !shown().some((line) => line.includes('╔╗'))) await new Promise((resolve) => { setTimeout(resolve, 100) })
  const text = screen.screens[0]?.text ?? null
  expect(shown()).toEqual(expect.arrayContaining(['Booting from Hard Disk...', 'Sector 2 was read.', 'Runs.', `${' '.repeat(10)}╔╗`]))
  expect(text?.cells[10 * 80 + 10]).toBe(0x1ec9)
  expect([screen.screens[0]?.picture?.width, screen.screens[0]?.picture?.height]).toEqual([720, 400])
  machine.dispose()
  const theirs = await qemuScreen(bios, disk, '\xc9\xbb')
  if (theirs === null || text === null) {
    context.skip(theirs === null, 'no qemu-system-x86_64 to compare with')
    return
  }
  expect(textOf({ ...text, cells: Uint16Array.from(theirs) })).toEqual(textOf(text))
  expect([...text.cells]).toEqual(theirs)
})
