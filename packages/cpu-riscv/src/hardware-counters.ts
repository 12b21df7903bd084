import type { HardwareCounters } from '@machinist/sbi'
import type { HartRecord } from './record.ts'

/**
 * `cycle` and `instret` as PMUs see them: a counter that stands still keeps its value in its offset.
 *
 * @param retired - instructions that the hart has retired
 */
export function hardwareCounters(record: HartRecord, retired: () => number): HardwareCounters {
  const offsets = { 0: 'cycleOffset', 2: 'instretOffset' } as const
  const offsetOf = (counter: number): 'cycleOffset' | 'instretOffset' => offsets[counter === 0 ? 0 : 2]
  const inhibited = (counter: number): boolean => ((record.getNumber('mcountinhibit') >> counter) & 1) !== 0
  const value = (counter: number): bigint => record.get64(offsetOf(counter)) + (inhibited(counter) ? 0n : BigInt(retired()))
  const settle = (counter: number, stopped: boolean, at: bigint): void => {
    const bit = 1n << BigInt(counter)
    record.set64('mcountinhibit', stopped ? record.get64('mcountinhibit') | bit : record.get64('mcountinhibit') & ~bit)
    record.set64(offsetOf(counter), BigInt.asIntN(64, stopped ? at : at - BigInt(retired())))
  }
  return {
    isRunning: (counter) => !inhibited(counter),
    start: (counter, from) => { settle(counter, false, from ?? value(counter)) },
    stop: (counter) => { settle(counter, true, value(counter)) },
  }
}
