import { collector, nodeHost, readWhole } from '@machinist/host-node'
import { createMachine } from '@machinist/machine'
import { prepareGuest } from '@machinist/machinist'
import { expect, test } from 'vitest'
import { customMachine } from './machine.ts'

test("Debian's Linux boots on it to a shell, sees three harts, and switches it off", async () => {
  const guest = await prepareGuest()
  const console = collector()
  const machine = createMachine(customMachine({
    consoles: [console, collector()],
    boot: { protocol: 'riscv', kernel: readWhole(guest.kernel), initrd: readWhole(guest.initrd), append: 'console=ttyS0' },
  }), nodeHost())
  machine.start()
  const prompt = setInterval(() => {
    if (!console.text().includes('machinist:~# ')) return
    clearInterval(prompt)
    console.type('grep -c ^processor /proc/cpuinfo; poweroff\n')
  }, 50)
  expect(await machine.finished()).toEqual({ status: 0, error: null })
  expect(console.text()).toMatch(/\r\n3\r\n/)
  machine.dispose()
})
