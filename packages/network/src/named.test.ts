import { type Backend, type Frame, isMachinistError, type NetPort } from '@machinist/api'
import { expect, it } from 'vitest'
import { cable, namedSwitches } from './index.ts'

interface Options {
  readonly kind: string
  readonly address?: string
  readonly mtu?: number
}

function bench() {
  const queue: (() => void)[] = []
  const settle = (): void => { while (queue.length > 0) queue.shift()?.() }
  const gateways: { readonly outside: NetPort, closed: boolean, fails: boolean }[] = []
  const switches = namedSwitches<Options>({
    deliver: (callback) => { queue.push(callback) },
    gateway({ kind, mtu, address }) {
      if (kind === 'none') return null
      if (kind === 'wrong') throw new TypeError('no such gateway')
      const [near, far] = cable(...[0, 1].map(() => (mtu === undefined || kind === 'small' ? {} : { mtu })))
      if (kind === 'taken') near.connect((callback) => { queue.push(callback) })
      const gateway = { outside: far.connect((callback) => { queue.push(callback) }), closed: false, fails: false }
      gateways.push(gateway)
      return {
        ...near,
        ...(address !== undefined && { address }),
        connect(deliver, clock) {
          const port = near.connect(deliver, clock)
          return { ...port, mtu: port.mtu, offloads: port.offloads, get link() { return port.link }, receive: () => port.receive(), accept: (what) => { port.accept(what) }, listen: (listener) => { port.listen(listener) }, send(frame) {
            if (gateway.fails) deliver(() => { throw new Error('it failed') })
            return port.send(frame)
          } }
        },
        close() {
          gateway.closed = true
          near.close()
        },
      }
    },
  })
  const connect = (port: Backend<NetPort>): NetPort => port.connect((callback) => { queue.push(callback) })
  return { settle, gateways, switches, connect }
}

const frameTo = (length: number): Frame => {
  const bytes = new Uint8Array(length).fill(0xff, 0, 6)
  bytes[11] = 1
  return { bytes }
}
const count = (port: NetPort): number => {
  let frames = 0
  while (port.receive() !== null) frames++
  return frames
}
const codeOf = (work: () => unknown): string => {
  try {
    work()
    return 'nothing'
  } catch (error) {
    return isMachinistError(error) ? error.code : String(error)
  }
}

it('a name is one switch, with one way out, as long as somebody is there; all say the same of it', () => {
  const { settle, gateways, switches, connect } = bench()
  const ports = ['one', 'two'].map((name, index) => switches.port('lan', index === 0 ? { kind: 'out', mtu: 9000 } : { mtu: 9000, kind: 'out' }, { name }, name))
  const apart = connect(switches.port('other', { kind: 'none' }, {}, 'apart'))
  const [one, two] = ports.map(connect)
  settle()
  one!.send(frameTo(9014))
  settle()
  expect([count(two!), count(gateways[0]!.outside), count(apart), count(one!)]).toEqual([1, 1, 0, 0])
  gateways[0]!.outside.send(frameTo(60))
  settle()
  expect([count(one!), count(two!), gateways.length]).toEqual([1, 1, 1])
  expect(codeOf(() => switches.port('lan', { kind: 'out' }, {}, 'three'))).toBe('backend-option')
  ports[0]!.close?.()
  ports[0]!.close?.()
  expect(gateways[0]!.closed).toBe(false)
  ports[1]!.close?.()
  expect(gateways[0]!.closed).toBe(true)
  connect(switches.port('lan', { kind: 'none' }, {}, 'three'))
  expect(gateways.length).toBe(1)
})

it('nobody in a switch has the address of what leads out of it', () => {
  const { settle, gateways, switches, connect } = bench()
  const [victim, thief] = ['victim', 'thief'].map((name) => connect(switches.port('lan', { kind: 'out', address: '52:55:0a:00:02:02' }, { name }, name)))
  const from = (source: readonly number[], to: readonly number[]): Frame => {
    const bytes = new Uint8Array(60)
    bytes.set([...to, ...source])
    return { bytes }
  }
  const gateway = [0x52, 0x55, 0x0a, 0, 2, 2]
  settle()
  thief!.send(from(gateway, [255, 255, 255, 255, 255, 255]))
  settle()
  expect([count(victim!), count(gateways[0]!.outside)]).toEqual([0, 0])
  victim!.send(from([2, 0, 0, 0, 0, 1], gateway))
  gateways[0]!.outside.send(from(gateway, [2, 0, 0, 0, 0, 1]))
  settle()
  expect([count(gateways[0]!.outside), count(victim!)]).toEqual([1, 1])
  thief!.send(from(gateway, [2, 0, 0, 0, 0, 1]))
  victim!.send(from([2, 0, 0, 0, 0, 1], gateway))
  settle()
  expect([count(gateways[0]!.outside), count(victim!), count(thief!)]).toEqual([1, 0, 1])
})

it('what cannot be opened leaves nothing behind', () => {
  const { gateways, switches } = bench()
  const attempts: readonly (readonly [Options, Parameters<typeof switches.port>[2], string])[] = [
    [{ kind: 'none', mtu: 5 }, {}, 'port-option'],
    [{ kind: 'none' }, { queueFrames: 0 }, 'port-option'],
    [{ kind: 'small', mtu: 5 }, {}, 'port-option'],
    [{ kind: 'out' }, { queueFrames: 0 }, 'port-option'],
    [{ kind: 'taken' }, {}, 'port-in-use'],
  ]
  for (const [options, port, code] of attempts) for (let time = 0; time < 2; time++) expect(codeOf(() => switches.port('lan', options, port, 'one')), JSON.stringify(options)).toBe(code)
  expect(gateways.map(({ closed }) => closed)).toEqual(Array.from({ length: 6 }, () => true))
  switches.port('lan', { kind: 'none' }, {}, 'one')
  // It is the switch of who was there before.
  expect(codeOf(() => switches.port('lan', { kind: 'none' }, { queueFrames: 0 }, 'two'))).toBe('port-option')
  expect(codeOf(() => switches.port('lan', { kind: 'out' }, {}, 'two'))).toBe('backend-option')
})

it('a way out that fails is told to all that are there, and the next of that name is another', () => {
  const { settle, gateways, switches, connect } = bench()
  expect(codeOf(() => switches.port('lan', { kind: 'wrong' }, {}, 'zero'))).toMatch(/no such gateway/)
  const told: string[] = []
  const member = (name: string): Backend<NetPort> => switches.port('lan', { kind: 'out' }, { name }, name, (error) => { told.push(`${name}: ${String(error)}`) })
  const ports = [member('one'), member('two')]
  const [one] = ports.map(connect)
  settle()
  gateways[0]!.fails = true
  one!.send(frameTo(60))
  settle()
  expect(told).toEqual(['one: Error: it failed', 'two: Error: it failed'])
  expect(gateways[0]!.closed).toBe(true)
  const next = connect(member('three'))
  for (const port of ports) port.close?.()
  settle()
  next.send(frameTo(60))
  settle()
  expect([gateways.length, gateways[1]!.closed, count(gateways[1]!.outside)]).toEqual([2, false, 1])
})
