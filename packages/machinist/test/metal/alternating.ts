import { type Native, vcpuRecord, VcpuExit } from '@machinist/host-metal'

/** How long one of the two runs before it is the other's turn, in nanoseconds. */
const TURN = 100_000

/**
 * Two harts that execute by turns, each at half of the hardware's speed, for QEMU with `-icount`: there the second executes only while the first waits (QEMU 7.2 gives it what is left until the next timer, and the first leaves nothing). So the first waits for as long as it
 * ran; and no longer, once what runs on the second has exited, since that waits for the first. The second leaves its guest as often by itself, since the first's own alarm does not end its turn.
 */
export function alternating(native: Native): Native {
  const { enter, exited, now, idle } = native
  const pages = new Map<number, DataView>()
  const back: number[] = []
  /** Where one runs on the second, and until when it is to. */
  const runs = new Map<number, { readonly hart: number; readonly until: number }>()
  let since = now()
  let away = 0
  /** What runs on the second has something to say. */
  let rang = false
  const isOver = (vcpu: number, end: number): boolean => pages.get(vcpu)?.getUint32(vcpuRecord.offset.exit, true) !== VcpuExit.time || now() >= end
  /** As `dispatch`, for a turn. */
  const go = (vcpu: number, hart: number, until: number): void => { native.dispatch(vcpu, hart, Math.min(until, now() + TURN)) }
  /** One that has come back to stay; -1 for none, and -2 for one whose turn was over. */
  const take = (): number => {
    const vcpu = exited()
    const run = runs.get(vcpu)
    if (run === undefined || isOver(vcpu, run.until)) return vcpu
    go(vcpu, run.hart, run.until)
    return -2
  }
  const turn = (): void => {
    const begin = now()
    const until = begin + begin - since
    while (away > back.length && now() < until) {
      idle(until)
      const vcpu = take()
      if (vcpu >= 0) back.push(vcpu)
      else if (vcpu === -1 && now() < until) rang = true
    }
    since = now()
  }
  return Object.assign(Object.create(native) as Native, {
    createVcpu(vm: number, index: number) {
      const made = native.createVcpu(vm, index)
      pages.set(made.id, new DataView(made.page))
      return made
    },
    enter(vcpu: number, until: number) {
      for (;;) {
        const end = Math.min(until, now() + TURN)
        enter(vcpu, end)
        const over = end === until || now() < end || isOver(vcpu, until)
        rang = false
        turn()
        if (over || rang || back.length > 0) return
      }
    },
    exited() {
      if (now() - since > TURN) turn()
      const vcpu = back.shift() ?? take()
      if (vcpu >= 0) {
        away--
        runs.delete(vcpu)
      }
      return Math.max(-1, vcpu)
    },
    dispatch(vcpu: number, hart: number, until: number) {
      runs.set(vcpu, { hart, until })
      go(vcpu, hart, until)
      away++
    },
    kick(vcpu: number) {
      runs.delete(vcpu)
      native.kick(vcpu)
    },
    idle(until: number) {
      idle(until)
      since = now()
    },
  })
}
