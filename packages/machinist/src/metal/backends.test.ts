import type { Backend, NetPort } from '@machinist/api'
import { virtualSwitch } from '@machinist/network'
import { expect, it } from 'vitest'
import { Station, udpOf, World } from '../../../network/test/wire.ts'
import { backends } from './backends.ts'

const UDP = 17

it('connects machines as their file says: alone behind the uplink, with others, or on the wire', () => {
  const world = new World(1)
  const wire = virtualSwitch()
  const hardware = wire.port({ name: 'hardware', address: '02:00:00:00:00:07' })
  const warnings: string[] = []
  const { backend, uplink } = backends()
  uplink({ ...hardware, connect: (deliver, clock) => hardware.connect(deliver, clock), address: '02:00:00:00:00:07' }, world, (text) => { warnings.push(text) })
  const net = (descriptor: Parameters<typeof backend>[0]): Backend<NetPort> => backend(descriptor, 'net', 'net0.net') as Backend<NetPort>
  const server = new Station(world, wire.port({ name: 'server' }), '192.0.2.9', null, 0x0200_0000_0009)
  const shared = { type: 'nat', switch: 'lan', forward: ['udp::7-10.0.2.15:7'] }
  const one = new Station(world, net(shared), '10.0.2.15', '10.0.2.2', 0x5254_0000_0001)
  const two = new Station(world, net(shared), '10.0.2.16', '10.0.2.2', 0x5254_0000_0002)
  const alone = new Station(world, net('nat'), '10.0.2.15', '10.0.2.2', 0x5254_0000_0003)
  const bridged = new Station(world, net({ type: 'tap', name: 'any' }), '192.0.2.20', null, 0x5254_0000_0004)
  const quiet = [1, 2].map((index) => new Station(world, net({ type: 'switch', name: 'quiet' }), `10.0.2.${15 + index}`, null, 0x5254_0000_0010 + index))
  const texts = ({ got }: Station): string[] => got.filter(({ from }) => from !== '0.0.0.0').map(({ from, body }) => `${from} ${new TextDecoder().decode(body.subarray(8))}`)
  world.settle()
  two.send(UDP, '10.0.2.15', udpOf(1, 7, 'neighbour'))
  quiet[0]!.send(UDP, '10.0.2.17', udpOf(1, 7, 'quiet'))
  bridged.send(UDP, '192.0.2.9', udpOf(1, 7, 'bridged'))
  // Nobody gives the uplink an address: what is to go out is told so at once.
  alone.send(UDP, '192.0.2.9', udpOf(1, 7, 'lost'))
  world.settle()
  expect([texts(one), texts(server), texts(quiet[1]!)]).toEqual([['10.0.2.16 neighbour'], ['192.0.2.20 bridged'], ['10.0.2.16 quiet']])
  expect(alone.got.map(({ body }) => [body[0], body[1]])).toEqual([[3, 1]])
  expect(() => net({ ...shared, mode: 'isolated' })).toThrow(expect.objectContaining({ code: 'backend-option' }))
  expect(() => net({ type: 'switch' })).toThrow(expect.objectContaining({ code: 'backend-option' }))
  expect(() => net({ type: 'switch', name: 'lan' })).toThrow(expect.objectContaining({ code: 'backend-option' }))
  expect(backend('wifi', 'net', 'net0.net')).toBeNull()
  expect(warnings).toEqual([])
})
