import type { BackendKind } from '@machinist/api'

/** What stands outside of a machine and its parts can call: ports of backends, and what these hand out. */
export type ShapeName = BackendKind | 'stream' | 'answer' | 'tree' | 'node' | 'file' | 'list'

/** A value from outside: plain data, an object, or plain data with objects in some fields. */
export type Answer = 'plain' | { readonly object: ShapeName } | { readonly fields: Readonly<Record<string, ShapeName>> }

/** What a part gives to be called: a function (whose only member is `''`), or an object of functions. For each, what its arguments are. */
export interface Callbacks {
  readonly members: Readonly<Record<string, readonly Answer[]>>
  /** It is called once. */
  readonly once: boolean
}

/**
 * An argument that a part gives: plain data; a buffer, or a list of them, to be filled; an object that came from outside; or what is to be called.
 */
export type Argument = 'plain' | 'buffer' | 'buffers' | 'object' | Callbacks

/**
 * When buffers are filled, and how far: up to the number that was answered; wholly; wholly if the answer is true; or when the callback
 * is told `'ok'`.
 */
export type Filling = 'count' | 'whole' | 'true' | 'ok'

/** A method. */
export interface Call {
  readonly args: readonly Argument[]
  readonly answer: Answer
  readonly filled?: Filling
  /** The answer is a promise of it. */
  readonly promise: boolean
}

/** The members of something outside, in an order that is part of the format: new ones come last. A function has one call, `''`. */
export interface Shape {
  readonly values: Readonly<Record<string, Answer>>
  readonly calls: Readonly<Record<string, Call>>
}

const call = (...args: readonly Argument[]): Call => ({ args, answer: 'plain', promise: false })
const fills = (filled: Filling, ...args: readonly Argument[]): Call => ({ ...call(...args), filled })
const promise = (answer: Answer, ...args: readonly Argument[]): Call => ({ args, answer, promise: true })
const listener = (...names: readonly string[]): Callbacks => ({ members: Object.fromEntries(names.map((name) => [name, []])), once: false })
const told = (...args: readonly Answer[]): Callbacks => ({ members: { '': args }, once: true })
const found: Answer = { fields: { node: 'node' } }
const opened: Answer = { fields: { file: 'file' } }
const done = told('plain')
const openNode = { attributes: promise('plain'), change: promise('plain', 'plain'), flush: promise('plain'), close: call() }

/** All that is known: kinds of ports, and what they hand out. The order is part of the format: new ones come last. */
export const shapes: Readonly<Record<ShapeName, Shape>> = {
  block: {
    values: { size: 'plain', readOnly: 'plain', blockSize: 'plain' },
    calls: {
      read: fills('ok', 'plain', 'buffers', done), readAtOnce: fills('true', 'plain', 'buffers', done), write: call('plain', 'plain', done), flush: call(done),
      discard: call('plain', 'plain', done), writeZeroes: call('plain', 'plain', done),
    },
  },
  char: {
    values: { ended: 'plain', size: 'plain' },
    calls: { write: call('plain'), read: fills('count', 'buffer'), listen: call(listener('readable', 'writable')), onResize: call(listener('')) },
  },
  net: {
    values: { mtu: 'plain', link: 'plain', address: 'plain', offloads: 'plain' },
    calls: { send: call('plain'), receive: call(), accept: call('plain'), listen: call(listener('readable', 'writable', 'linkChanged')) },
  },
  audio: { values: {}, calls: { start: call('plain', 'plain'), play: call('plain', 'plain'), record: fills('whole', 'plain', 'buffer'), stop: call('plain') } },
  display: {
    values: {},
    calls: {
      size: call('plain'), show: call('plain', 'plain'), present: call('plain', 'plain', 'plain'), cursor: call('plain', 'plain'), moveCursor: call('plain', 'plain', 'plain'), text: call('plain', 'plain'),
      listen: call(listener('sizesChanged')),
    },
  },
  // `settle` is the tape's own: it takes nothing from outside.
  files: { values: { tree: { object: 'tree' }, readOnly: 'plain' }, calls: {} },
  input: { values: {}, calls: { receive: call(), status: call('plain'), listen: call(listener('readable')) } },
  vsock: {
    values: {},
    calls: { connect: call('plain', told({ object: 'stream' })), listen: call({ members: { '': ['plain', { object: 'stream' }, { object: 'answer' }] }, once: false }) },
  },
  balloon: { values: { target: 'plain' }, calls: { listen: call(listener('targetChanged', 'statisticsWanted')), resized: call('plain'), report: call('plain') } },
  hotplug: { values: { target: 'plain' }, calls: { listen: call(listener('targetChanged')), resized: call('plain') } },
  entropy: { values: {}, calls: { fill: fills('whole', 'buffer') } },
  wallClock: { values: {}, calls: { now: call() } },
  power: { values: {}, calls: { off: call('plain'), reset: call() } },
  stream: {
    values: { readable: 'plain', ended: 'plain' },
    calls: { write: call('plain'), read: fills('count', 'buffer'), end: call(), close: call(), destroy: call(), listen: call(listener('readable', 'writable', 'failed')) },
  },
  answer: { values: {}, calls: { '': call('plain') } },
  tree: { values: {}, calls: { root: promise(found), statistics: promise('plain') } },
  node: {
    values: {},
    calls: {
      attributes: promise('plain'), change: promise('plain', 'plain'), lookup: promise(found, 'plain'), create: promise({ fields: { node: 'node', file: 'file' } }, 'plain', 'plain', 'plain'),
      makeFolder: promise(found, 'plain', 'plain'), makeLink: promise(found, 'plain', 'plain'), link: promise('plain', 'plain', 'object'), unlink: promise('plain', 'plain', 'plain'),
      rename: promise('plain', 'plain', 'object', 'plain'), readLink: promise('plain'), open: promise(opened, 'plain'), list: promise({ object: 'list' }), release: call(),
    },
  },
  file: { values: {}, calls: { ...openNode, read: { ...promise('plain', 'plain', 'buffer'), filled: 'count' }, write: promise('plain', 'plain', 'plain') } },
  list: { values: {}, calls: { ...openNode, next: promise('plain', 'plain'), rewind: promise('plain') } },
}

export const shapeNames: readonly ShapeName[] = Object.keys(shapes) as ShapeName[]

/** Members in the order of their numbers: values, then calls. */
export function membersOf({ values, calls }: Shape): readonly string[] {
  return [...Object.keys(values), ...Object.keys(calls)]
}
