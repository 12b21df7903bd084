/** Numbers of the memory balloon device (virtio 1.2, 5.5). */
import type { BalloonStatistics } from '@machinist/api'

/** Feature bits (5.5.3). */
export const balloonFeature: {
  readonly mustTellHost: 0
  readonly statsVq: 1
  readonly deflateOnOom: 2
  readonly freePageHint: 3
  readonly pagePoison: 4
  readonly pageReporting: 5
} = { mustTellHost: 0, statsVq: 1, deflateOnOom: 2, freePageHint: 3, pagePoison: 4, pageReporting: 5 }

/** Queues (5.5.2). */
export const balloonQueue: { readonly inflate: 0, readonly deflate: 1, readonly stats: 2, readonly hint: 3, readonly reporting: 4 } =
  { inflate: 0, deflate: 1, stats: 2, hint: 3, reporting: 4 }

/** Offsets in the configuration space (5.5.4), and its size. */
export const balloonConfig: { readonly numPages: 0, readonly actual: 4, readonly hintCommand: 8, readonly poison: 12, readonly size: 16 } =
  { numPages: 0, actual: 4, hintCommand: 8, poison: 12, size: 16 }

/** Bytes of the pages that the balloon counts, whatever the guest's are (5.5.6). */
export const balloonPage = 4096

/** One statistic: a tag of 16 bits and a value of 64 (5.5.6.3). */
export const statisticSize = 10

/** Names by tag (5.5.6.4). */
export const statisticNames: readonly (keyof BalloonStatistics)[] = [
  'swapIn', 'swapOut', 'majorFaults', 'minorFaults', 'free', 'total', 'available', 'caches', 'hugePages', 'hugePagesFailed',
]
