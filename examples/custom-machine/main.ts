/** Boots Debian's Linux on the custom machine, its first serial line in the terminal. */
import { collector, nodeHost, readWhole, terminal } from '@machinist/host-node'
import { createMachine, printMachine } from '@machinist/machine'
import { prepareGuest } from '@machinist/machinist'
import { customMachine } from './machine.ts'

const guest = await prepareGuest({ progress: (step) => { console.error(step) } })
const machine = createMachine(customMachine({
  consoles: [terminal({ onLeave: () => { machine.powerOff() } }), collector()],
  boot: { protocol: 'riscv', kernel: readWhole(guest.kernel), initrd: readWhole(guest.initrd), append: 'console=ttyS0' },
}), nodeHost())
console.error(printMachine(machine.resolved))
machine.start()
process.exitCode = (await machine.finished()).status
machine.dispose()
