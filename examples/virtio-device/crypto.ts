import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { type Chain, ConfigSpace, type MmioState, type VirtioIrq, virtioMmio, type VirtioOptions, type VirtioSpec } from '@machinist/virtio'

// virtio 1.2, 5.9: offsets in the configuration space and in requests, as they are without VIRTIO_CRYPTO_F_REVISION_1.
const config = { status: 0, dataQueues: 4, services: 8, cipherAlgorithms: 12, maxKey: 36, maxSize: 48, size: 56 } as const
const control = { opcode: 0, session: 16, algorithm: 16, keyLength: 20, operation: 64, size: 72 } as const
const data = { opcode: 0, session: 8, ivLength: 24, sourceLength: 28, destinationLength: 32, operation: 64, size: 72 } as const
const opcode = { createSession: 2, destroySession: 3 } as const
const status = { ok: 0, error: 1, unsupported: 3, noSession: 4, noSpace: 5 } as const
const [cipherService, aesCbc, plainCipher, hardwareReady, block] = [0, 3, 1, 1, 16]
/** What a guest may make its host keep, and do at once. */
const [maxSessions, maxBytes, requestsPerTurn] = [256, 1 << 16, 16]

/** The key of each session, of 16, 24 or 32 bytes. */
interface CryptoState { readonly sessions: readonly { readonly id: number, readonly bytes: number, readonly key: readonly number[] }[] }
type None = Readonly<Record<never, never>>

/** A crypto device (virtio 1.2, 5.9) that knows one thing: AES in CBC mode. */
export const cryptoDevice: VirtioSpec<object, CryptoState, None> = {
  kind: 'virtio-crypto', deviceId: 20, stateVersion: 1, backends: {},
  configure(input, name) {
    plainData(name, input, 'configuration').done()
    return {}
  },
  create(_config, context) {
    const space = new ConfigSpace(config.size)
    space.view.setUint32(config.status, hardwareReady, true)
    space.view.setUint32(config.dataQueues, 1, true)
    space.view.setUint32(config.services, 1 << cipherService, true)
    space.view.setUint32(config.cipherAlgorithms, 1 << aesCbc, true)
    space.view.setUint32(config.maxKey, 32, true)
    space.set64(config.maxSize, maxBytes)
    const sessions = new Map<number, Uint8Array>()
    return {
      features: [], queueSizes: [64, 16], configSize: config.size,
      readConfig: (offset, width) => space.read(offset, width),
      notify: (queue) => context.answer(queue, (chain) => queue.index === 0 ? cipher(chain, sessions) : manage(chain, sessions), requestsPerTurn),
      reset: () => sessions.clear(),
      save: () => ({ sessions: [...sessions].map(([id, key]) => ({ id, bytes: key.length, key: [...key] })) }),
      restore(state) {
        const fields = plainData(context.name, state, 'state')
        const restored = fields.list('sessions', maxSessions, (each) => {
          const bytes = each.oneOf('bytes', [16, 24, 32])
          return [each.integer('id', 0, maxSessions - 1), Uint8Array.from(each.integers('key', bytes, 0, 255))] as const
        })
        fields.done()
        sessions.clear()
        for (const [id, key] of restored) sessions.set(id, key)
      },
    }
  },
}

/** {@link cryptoDevice} behind the MMIO transport; `virtioPci` would put it on PCI. */
export const virtioCrypto: DeviceSpec<VirtioOptions, MmioState<CryptoState>, VirtioIrq, None> = virtioMmio(cryptoDevice)

/** A request of the control queue: makes or ends a session. Returns the number of bytes written. */
function manage(chain: Chain, sessions: Map<number, Uint8Array>): number {
  const header = head(chain, control.size)
  const code = header?.getUint32(control.opcode, true)
  if (header === null || code !== opcode.createSession) {
    const id = Number(header?.getBigUint64(control.session, true))
    const ended = code === opcode.destroySession ? (sessions.delete(id) ? status.ok : status.noSession) : status.unsupported
    return chain.write(0, Uint8Array.of(ended)) ? 1 : 0
  }
  const key = new Uint8Array(Math.min(header.getUint32(control.keyLength, true), 33)) // one too many will do to refuse it
  let id = 0
  while (sessions.has(id)) id++
  let result: number = status.ok
  if (header.getUint32(control.operation, true) !== plainCipher || header.getUint32(control.algorithm, true) !== aesCbc) result = status.unsupported
  else if (![16, 24, 32].includes(key.length) || !chain.read(control.size, key)) result = status.error
  else if (sessions.size >= maxSessions) result = status.noSpace
  else sessions.set(id, key)
  const answer = new DataView(new ArrayBuffer(16))
  answer.setUint32(0, id, true)
  answer.setUint32(8, result, true)
  return chain.write(0, new Uint8Array(answer.buffer)) ? 16 : 0
}

/** A request of the data queue: header, IV and source to read; destination and status to write. */
function cipher(chain: Chain, sessions: ReadonlyMap<number, Uint8Array>): number {
  const header = head(chain, data.size)
  const key = sessions.get(Number(header?.getBigUint64(data.session, true)))
  const length = header?.getUint32(data.sourceLength, true) ?? 0
  const make = [createCipheriv, createDecipheriv][header?.getUint32(data.opcode, true) ?? 0] // 0 encrypts, 1 decrypts
  // The status is the last byte: a driver may give more room for the data than it asks for.
  const end = (result: number): number => chain.write(chain.writableLength - 1, Uint8Array.of(result)) ? chain.writableLength : 0
  if (header === null || chain.writableLength === 0) return 0
  if (key === undefined) return end(status.noSession)
  if (make === undefined || header.getUint32(data.operation, true) !== plainCipher || header.getUint32(data.ivLength, true) !== block) return end(status.unsupported)
  const fits = header.getUint32(data.destinationLength, true) === length && length < chain.writableLength
  if (!fits || length % block !== 0 || length > maxBytes) return end(status.error)
  const [iv, source] = [new Uint8Array(block), new Uint8Array(length)]
  if (!chain.read(data.size, iv) || !chain.read(data.size + block, source)) return end(status.error)
  const result = make(`aes-${String(8 * key.length)}-cbc`, key, iv).setAutoPadding(false).update(source)
  return chain.write(0, result) ? end(status.ok) : end(status.error)
}

/** The fixed part of a request, copied out of guest memory once; null when it is not there. */
function head(chain: Chain, size: number): DataView | null {
  const bytes = new Uint8Array(size)
  return chain.read(0, bytes) ? new DataView(bytes.buffer) : null
}
