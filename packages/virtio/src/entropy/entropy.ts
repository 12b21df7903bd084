import { plainData } from '@machinist/registers'
import type { DeviceSpec, EntropyPort } from '@machinist/api'
import type { VirtioContext, VirtioDevice, VirtioSpec } from '../device/spec.ts'
import type { MmioOptions, VirtioOptions } from '../device/options.ts'
import { virtioMmio } from '../transport/mmio.ts'
import type { MmioState, VirtioIrq } from '../transport/mmio.ts'
import { virtioPci } from '../transport/pci.ts'
import type { VirtioPciIrq, VirtioPciState } from '../transport/pci.ts'
import type { Virtqueue } from '../queue/queue.ts'

/** Bytes given for one request: a driver that wants more asks again. */
const requestLimit = 4096
/** Requests answered at once; the rest wait for the next opportunity. */
const requestsPerTurn = 16

/** Entropy device (virtio 1.2, 5.4): random bytes from the host. It has no configuration: `{}`. */
export const entropyDevice: VirtioSpec<object, object, { readonly entropy: 'entropy' }> = {
  kind: 'virtio-rng',
  deviceId: 4,
  stateVersion: 1,
  backends: { entropy: 'entropy' },
  configure(input, name) {
    plainData(name, input, 'configuration').done()
    return {}
  },
  create: (_config, context) => new Entropy(context),
}

/** {@link entropyDevice} behind the MMIO transport. */
export const virtioEntropy: DeviceSpec<MmioOptions, MmioState<object>, VirtioIrq, { readonly entropy: 'entropy' }> = virtioMmio(entropyDevice)

/** {@link entropyDevice} behind the PCI transport. */
export const virtioEntropyPci: DeviceSpec<VirtioOptions, VirtioPciState<object>, VirtioPciIrq, { readonly entropy: 'entropy' }> = virtioPci(entropyDevice)

class Entropy implements VirtioDevice<object> {
  readonly features: readonly number[] = []
  readonly queueSizes: readonly number[] = [256]
  readonly configSize = 0
  readonly #context: VirtioContext<{ readonly entropy: 'entropy' }>
  readonly #source: EntropyPort
  readonly #scratch = new Uint8Array(requestLimit)

  constructor(context: VirtioContext<{ readonly entropy: 'entropy' }>) {
    this.#context = context
    this.#source = context.backends.entropy
  }

  notify(queue: Virtqueue): void {
    this.#context.answer(queue, (chain) => {
      const bytes = this.#scratch.subarray(0, Math.min(chain.writableLength, requestLimit))
      this.#source.fill(bytes)
      // Memory that is not there gets nothing: the driver made that bed.
      return chain.write(0, bytes) ? bytes.length : 0
    }, requestsPerTurn)
  }

  reset(): void {
    // It keeps nothing.
  }

  save(): object {
    return {}
  }

  restore(state: object): void {
    plainData(this.#context.name, state, 'state').done()
  }
}
