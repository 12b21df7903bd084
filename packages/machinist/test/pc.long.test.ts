/** Debian's SeaBIOS, unmodified, on the `pc` machine. */
import { readFileSync } from 'node:fs'
import { pc } from '@machinist/boards'
import { collector, nodeHost } from '@machinist/host-node'
import { createMachine } from '@machinist/machine'
import { preparePcFirmware } from '@machinist/machinist'
import { expect, it } from 'vitest'

it('SeaBIOS finds its machine, places its tables, and looks for something to boot', async () => {
  const { bios, version } = await preparePcFirmware()
  const debug = collector()
  const machine = createMachine(pc({ firmware: new Uint8Array(readFileSync(bios)), debug, harts: 2, time: { instructionsPerSecond: 1e8 } }), nodeHost())
  machine.start({ drive: 'caller' })
  while (machine.state === 'running' && machine.stats.virtualTime < 20e9 && !debug.text().includes('No bootable device')) machine.runSlice(1e6)
  const text = debug.text()
  for (const line of [
    `SeaBIOS (version`, 'Running on QEMU (i440fx)', 'QEMU fw_cfg DMA interface supported', 'PCI: init bdf=00:00.0 id=8086:1237', 'PCI: init bdf=00:01.0 id=8086:7000', 'Found 2 cpu(s) max supported 2 cpu(s)', 'ACPI: parse DSDT', 'Booting from Hard Disk', 'No bootable device',
  ]) expect(text).toContain(line)
  expect(text).toContain(version.split('-')[0] ?? '')
  machine.dispose()
})
