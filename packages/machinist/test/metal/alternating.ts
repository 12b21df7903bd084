import { type Native, vcpuRecord, VcpuExit } from '@machinist/host-metal'

/** How long one of the two runs before it is the other's turn, in nanoseconds. */
const TURN = 100_000

/**
 * Two harts that execute by turns, each at half of the hardware's speed, for QEMU with `-icount`: there the second executes only while the first waits (QEMU 7.2 gives it what is left until the next timer, and the first leaves nothing). So the first waits for as long as it
 * ran; and no longer, once what runs on the second has exited, since that waits for the first.
 */
export function alternating(native: Native): Native {
  const { enter, exited, now, idle } = native
  const pages = new Map<number, DataView>()
  const back: number[] = []
  let since = now()
  let away = 0
  /** What runs on the second has something to say. */
  let rang = false
  const turn = (): void => {
    const begin = now()
    const until = begin + begin - since
    while (away > back.length && now() < until) {
      idle(until)
      const vcpu = exited()
      if (vcpu >= 0) back.push(vcpu)
      else if (now() < until) rang = true
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
        const over = pages.get(vcpu)?.getUint32(vcpuRecord.offset.exit, true) !== VcpuExit.time || end === until || now() < end
        rang = false
        turn()
        if (over || rang || back.length > 0) return
      }
    },
    exited() {
      if (now() - since > TURN) turn()
      const vcpu = back.shift() ?? exited()
      if (vcpu >= 0) away--
      return vcpu
    },
    dispatch(vcpu: number, hart: number, until: number) {
      native.dispatch(vcpu, hart, until)
      away++
    },
    idle(until: number) {
      idle(until)
      since = now()
    },
  })
}
