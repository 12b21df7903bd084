import { End } from './end.ts'
import type { EndOwner } from './end.ts'
import type { Port, PortOptions } from './port.ts'

/**
 * Joins two machines directly. Each sees a carrier while the other is there and neither end was pulled out. Snapshots of a machine have how far its limits are
 * used; frames that wait are lost.
 *
 * @throws a typed error `'port-option'`
 */
export function cable(left: PortOptions = {}, right: PortOptions = {}): readonly [Port, Port] {
  const given = [left.link ?? true, right.link ?? true]
  const here = [false, false]
  const update = (): void => {
    const up = given.every(Boolean) && here.every(Boolean)
    for (const end of ends) end.setLink(up)
  }
  const owner = (index: 0 | 1): EndOwner => ({
    forward: (frame) => { ends[1 - index]?.offer(frame) },
    connected() {
      here[index] = true
      update()
    },
    closed() {
      here[index] = false
      update()
    },
  })
  const ends = [new End(owner(0), { ...left, link: false }, 'cable.left'), new End(owner(1), { ...right, link: false }, 'cable.right')] as const
  const port = (index: 0 | 1): Port => {
    const end = ends[index]
    return {
      kind: 'net',
      name: end.name,
      get stats() { return end.stats },
      connect: (deliver, clock) => end.connect(deliver, clock),
      save: () => end.save(),
      restore: (saved, part) => end.restore(saved, part),
      close() { end.close() },
      setLink(up) {
        given[index] = up
        update()
      },
    }
  }
  return [port(0), port(1)]
}
