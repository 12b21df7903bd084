/** Works on a datastore until it is killed, and tells what is done: for `datastore-killed.test.ts`. */
import { writeSync } from 'node:fs'
import { Datastore } from '../src/index.ts'

const [folder = '', seed = '1'] = process.argv.slice(2)
let state = Number(seed)
const random = (below: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor(state / 2 ** 32 * below)
}
const store = Datastore.open(folder)
const tell = (line: string): void => { writeSync(1, `${line}\n`) }
tell('ready')
for (let step = 0; ; step++) {
  const { disks } = store.list()
  const free = disks.filter(({ clones }) => clones.length === 0)
  const some = disks[random(disks.length)]
  const name = `d${seed}-${String(step)}`
  const act = random(4)
  if (act === 0 || some === undefined) {
    await store.createDisk(name, 2 ** 20)
    tell(`made ${name}`)
  } else if (act === 1 && disks.length < 30) {
    await store.cloneDisk(some.name, name).catch(() => undefined)
    if (store.list().disks.some((disk) => disk.name === name)) tell(`made ${name}`)
  } else {
    const victim = free[random(free.length)]
    if (victim === undefined) continue
    tell(`deleting ${victim.name}`)
    await store.deleteDisk(victim.name)
  }
}
