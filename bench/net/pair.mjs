/**
 * `node pair.mjs KERNEL INITRD MEGABYTES APPEND APPEND`: two machines on a switch in this process, one hart each. The console of the second is ours.
 */
import { readFileSync } from 'node:fs'
import { product } from '../product.mjs'

const { virt } = await product('boards')
const { nodeHost, stream } = await product('host-node')
const { createMachine } = await product('machine')
const { virtualSwitch } = await product('network')

const [kernel = '', initrd = '', megabytes = '256', ...appends] = process.argv.slice(2)
const lan = virtualSwitch()
const machines = appends.map((append, index) => createMachine(virt({
  kernel: readFileSync(kernel), initrd: readFileSync(initrd), append, memory: Number(megabytes) << 20, nets: [lan.port({ name: `station${index}` })],
  console: stream({ output: (bytes) => { if (index === 1) process.stdout.write(bytes) } }),
}), nodeHost()))
const ends = machines.map((machine) => machine.finished())
for (const machine of machines) machine.start()
for (const { error } of await Promise.all(ends)) if (error !== null) throw error
for (const machine of machines) machine.dispose()
