import type { Backend, CharPort, Deliver } from '@machinist/api'

export interface SlowReader extends Backend<CharPort> {
  readonly text: string
  take(bytes: number): void
}

/** A host that takes so many bytes, until it is told to take more. */
export function slowReader(room: number): SlowReader {
  const bytes: number[] = []
  let deliver: Deliver = () => undefined
  let writable: () => void = () => undefined
  return {
    kind: 'char',
    get text() { return String.fromCharCode(...bytes) },
    take(more) {
      room += more
      deliver(() => { writable() })
    },
    connect(through) {
      deliver = through
      return {
        write(given) {
          const taken = given.subarray(0, room)
          room -= taken.length
          bytes.push(...taken)
          return taken.length
        },
        read: () => 0,
        listen(listener) { writable = () => { listener.writable() } },
      }
    },
  }
}
