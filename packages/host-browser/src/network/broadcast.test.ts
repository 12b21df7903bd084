import { type Backend, type NetPort, allOffloads } from '@machinist/api'
import { expect, onTestFinished, test, vi } from 'vitest'
import { broadcastNetwork } from './broadcast.ts'

function station(network: string, part: string): { readonly port: NetPort; readonly heard: number[][] } {
  const backend: Backend<NetPort> = broadcastNetwork(network, { part, loop: { soon: (callback) => { queueMicrotask(callback) } } as Parameters<typeof broadcastNetwork>[1]['loop'] })
  const port = backend.connect((callback) => { queueMicrotask(callback) })
  const heard: number[][] = []
  port.accept(allOffloads)
  port.listen({
    readable() {
      for (let frame = port.receive(); frame !== null; frame = port.receive()) {
        expect([frame.checksum, frame.segmentation]).toEqual([undefined, undefined])
        heard.push([...frame.bytes])
      }
    },
    writable: () => undefined,
    linkChanged: () => undefined,
  })
  onTestFinished(() => backend.close?.())
  return { port, heard }
}

/** To all, from a station. */
const frame = (from: number, ...payload: readonly number[]): Uint8Array => Uint8Array.of(255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, from, 0x88, 0xb5, ...payload)

test('frames go to all who name the network, and what others say there is no frame of anything else', async () => {
  const network = `test ${Math.random()}`
  const [one, other, stranger] = [station(network, 'one'), station(network, 'other'), station(`${network} of others`, 'stranger')]
  const page = new BroadcastChannel(`machinist:switch:${network}`)
  onTestFinished(() => { page.close() })
  const bytes = frame(9, 9)
  const shared = new Uint8Array(new SharedArrayBuffer(20))
  for (const message of [null, 7, 'x', {}, { bytes }, { bytes, segmentation: null }, { bytes, checksum: null }, [bytes], shared, bytes.slice(0, 13), new Uint8Array(70_000), new Uint16Array(20)]) page.postMessage(message)
  page.postMessage(bytes)
  one.port.send({ bytes: frame(1, 1, 2) })
  await vi.waitFor(() => { expect(other.heard).toHaveLength(2) })
  expect(other.heard.map((each) => each.slice(11))).toEqual(expect.arrayContaining([[9, 0x88, 0xb5, 9], [1, 0x88, 0xb5, 1, 2]]))
  expect(one.heard.map((each) => each[11])).toEqual([9])
  expect(stranger.heard).toEqual([])
})
