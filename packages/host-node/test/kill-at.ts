/** Ends its process, as kill -9 does, before the operation on files of the number that KILL_AT says: `node --import`ed, so that all others have what is patched here. */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

let left = Infinity

function counted<Args extends unknown[], Result>(work: (...args: Args) => Result): (...args: Args) => Result {
  return function (this: unknown, ...args) {
    if (--left === 0) process.kill(process.pid, 'SIGKILL')
    return work.apply(this, args)
  }
}

type Patched = Record<string, (...args: unknown[]) => unknown>

function patch(object: object, names: readonly string[]): void {
  const functions = object as Patched
  for (const name of names) {
    const work = functions[name]
    if (work !== undefined) functions[name] = counted(work)
  }
}

patch(fs, ['appendFileSync', 'linkSync', 'mkdirSync', 'renameSync', 'rmSync', 'writeFileSync'])
patch(fs.promises, ['open', 'rename', 'rm'])
const handle = await fs.promises.open(new URL(import.meta.url))
patch(Object.getPrototypeOf(handle) as object, ['writeFile', 'sync', 'close'])
await handle.close()
syncBuiltinESMExports()
left = Number(process.env['KILL_AT'] ?? Infinity)
