/** What objects and buffers of this process occupy, in bytes. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** All of them, also those that nobody holds any more and that V8 has yet to collect. */
export function occupied(): number {
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return arrayBuffers + heapUsed
}

/** Those that somebody holds. */
export function held(): number {
  // The second one ends what the first has left for later.
  collect()
  collect()
  return occupied()
}
