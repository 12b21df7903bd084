import { virt } from '@machinist/boards'
import { collector, nodeHost, readWhole } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { prepareGuest } from '@machinist/machinist'
import { expect, test } from 'vitest'
import { metronome } from './metronome.ts'

test("Debian's Linux sees it in the device tree, and its shell reads its registers", async () => {
  const guest = await prepareGuest()
  const console = collector()
  const machine = createMachine(virt({
    console, devices: { metronome: part(metronome) },
    kernel: readWhole(guest.kernel), initrd: readWhole(guest.initrd), append: 'console=ttyS0',
  }), nodeHost())
  const base = machine.resolved.devices.find((device) => device.name === 'metronome')?.regions[0]?.base ?? 0
  machine.start()
  const prompt = setInterval(() => {
    if (!console.text().includes('machinist:~# ')) return
    clearInterval(prompt)
    console.type(`ls /proc/device-tree/soc | grep metronome; devmem ${base} 32 10; sleep 1; echo "count $(devmem ${base + 4} 32)"; poweroff\n`)
  }, 50)
  expect(await machine.finished()).toEqual({ status: 0, error: null })
  expect(console.text()).toContain(`metronome@${base.toString(16)}`)
  // A hundred ticks in the guest's second, less what a busy host takes.
  expect(Number(/count (0x[0-9A-F]+)/.exec(console.text())?.[1])).toBeGreaterThan(10)
  machine.dispose()
})
