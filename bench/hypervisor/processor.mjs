/**
 * A processor in a worker thread, as `machinist` has it. `workerData` may name a machine that is watched, with memory for three numbers of 64 bits: the thread, CPU time that the machine took in it, and what others had taken when the machine
 * ran last, in nanoseconds.
 */
import { createRequire } from 'node:module'
import { workerData } from 'node:worker_threads'
import { product } from '../product.mjs'

const { nodeControllers, serveProcessor, threadCpuTime } = await product('host-node')
const { virtCatalogue } = await product('boards')

/** @type {{ watched?: string, numbers?: BigInt64Array } | null} */
const told = workerData
const { watched, numbers } = told ?? {}
const clock = threadCpuTime()
const koffi = createRequire(new URL('../../packages/host-node/package.json', import.meta.url))('koffi')

const watch = {
  kind: /** @type {const} */ ('space'),
  /** @param {string} name @param {import('../../packages/machine/src/index.ts').Machine} machine */
  add(name, machine) {
    if (name !== watched || numbers === undefined || clock === null) return
    Atomics.store(numbers, 0, BigInt(koffi.load(null).func('int gettid()')()))
    const run = machine.runSlice.bind(machine)
    machine.runSlice = (limit) => {
      const before = clock()
      const result = run(limit)
      const after = clock()
      const own = Number(Atomics.add(numbers, 1, BigInt(after - before))) + after - before
      Atomics.store(numbers, 2, BigInt(after - own))
      return result
    }
  },
  remove() {},
  usage: () => ({ demand: 0, used: 0 }),
  grant() {},
}

serveProcessor({ catalogue: virtCatalogue, controllers: [...nodeControllers(), ...(watched === undefined ? [] : [watch])] })
