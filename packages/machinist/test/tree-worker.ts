/** A program that works on a tree of snapshots, says what it is about to do and what it has done, and is killed; see snapshot-killed.long.test.ts. */
import { SnapshotTree } from '@machinist/host-node'
import { KeptMachine } from './kept-machine.ts'

const [folder = '', seed = '1'] = process.argv.slice(2)
let state = Number(seed) >>> 0
const random = (below: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor(state / 2 ** 32 * below)
}
const say = (...words: readonly unknown[]): void => { process.stdout.write(`${words.join(' ')}\n`) }
const blocking = process.stdout as unknown as { readonly _handle?: { setBlocking?(is: boolean): void } }
blocking._handle?.setBlocking?.(true)

const nameOf = (tree: SnapshotTree): string | undefined => {
  const names = tree.index.snapshots.filter(({ whole }) => whole).map(({ name }) => name)
  return names[random(names.length)]
}
let tree = await SnapshotTree.open(folder)
for (let round = 0; round < 2; round++) {
  const back = nameOf(tree)
  if (back !== undefined && random(2) === 0) {
    say('reverting', back)
    await tree.revert(back)
    say('reverted', back)
  } else if (!tree.index.current.resume && random(3) === 0) {
    const name = `off-${tree.index.last}`
    say('taking', name, 'off')
    await tree.take(name)
    say('took', name)
  }
  const running = await KeptMachine.of(tree)
  say('runs')
  for (let act = 0; act < 4; act++) {
    const value = 1 + random(250)
    say('writing', value)
    await running.write(0, value)
    say('wrote', value)
    const gone = nameOf(tree)
    if (gone !== undefined && random(3) === 0) {
      say('deleting', gone)
      await running.session.delete(gone)
      say('deleted', gone)
    } else {
      const name = `on-${tree.index.last}`
      say('taking', name, value)
      await running.session.take(name)
      say('took', name)
    }
  }
  await running.end()
  say('ended')
  tree = await SnapshotTree.open(folder)
}
await tree.close()
say('done')
