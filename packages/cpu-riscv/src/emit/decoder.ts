import { call, type FuncRef, i32, i64 } from '@machinist/wasm'
import { RULE_CSRS, RULE_FIELD, RULE_FORM, RULE_KEYS, RULE_SIZE } from '../core/rules.ts'
import { handlerOf, OP_SIZE, OPS_BYTES, PAGE_TAIL, Pseudo } from '../handlers.ts'
import { COMPRESSED_KEYS } from '../isa/decoder.ts'
import { ENDS_BLOCK, HAS_TARGET, LENGTH } from '../op-writer.ts'
import type { Emit } from './context.ts'

const PAGE_BYTES = (OPS_BYTES / OP_SIZE) * 2
/** The first register of an op. */
const FIRST_REGISTER = 0xff_0000

/**
 * Decodes from an op of the page whose ops begin at the first operand to the next instruction after which control does not simply go on, or to the end of the page. So an op
 * is there exactly when its block was reached, which tells the translator what to leave out.
 */
export function emitDecoder(e: Emit): FuncRef<readonly ['i32', 'i32'], 'void'> {
  return e.m.func('decode', ['i32', 'i32'], 'void', (f, ops, op) => {
    const frame = f.let(i32.load(ops, OPS_BYTES + PAGE_TAIL.frame))
    const [word, key, told] = [f.local('i32'), f.local('i32'), f.local('i32')]
    f.loop((following) => {
      const offset = f.let(i32.shrU(i32.sub(op, ops), 2))
      f.if(i32.geU(offset, PAGE_BYTES), () => f.return())
      f.if(i32.load16U(op), () => f.return())
      f.set(word, i32.load16U(i32.add(frame, offset)))
      f.if(i32.eq(i32.and(word, 3), 3), () => {
        f.if(i32.eq(offset, PAGE_BYTES - 2), () => {
          f.do(i32.store16(op, handlerOf(Pseudo.cross, 4)))
          f.return()
        })
        f.set(word, i32.load(i32.add(frame, offset)))
        f.set(key, i32.or(i32.and(i32.shl(word, 1), 0xf8), i32.and(i32.shrU(word, 12), 7)))
      }, () => f.set(key, i32.add(i32.or(i32.shl(i32.shrU(word, 13), 2), i32.and(word, 3)), COMPRESSED_KEYS)))
      const rule = f.let(i32.add(i32.load16U(i32.shl(key, 1), e.rules + RULE_KEYS), e.rules))
      f.loop((search) => {
        f.if(i32.ne(i32.and(word, i32.load(rule, RULE_FIELD.mask)), i32.load(rule, RULE_FIELD.match)), () => {
          f.set(rule, i32.add(rule, RULE_SIZE))
          f.br(search)
        })
      })
      const reserved = i32.and(i32.load8U(rule, RULE_FIELD.rounding), i32.ltU(i32.sub(i32.and(i32.shrU(word, 12), 7), 5), 2))
      f.if(i32.or(i32.eqz(i32.and(word, i32.load(rule, RULE_FIELD.some))), reserved), () => f.set(told, call(e.host.decode, word, op, offset)), () => {
        const operands = f.let(i64.load(rule, RULE_FIELD.fixed))
        const columns = f.let(i32.add(i32.load(rule, RULE_FIELD.columns), e.rules))
        const bits = f.let(i32.and(word, i32.xor(i32.load(rule, RULE_FIELD.mask), -1)))
        f.block((all) => f.loop((more) => {
          f.brIf(all, i32.eqz(bits))
          f.set(operands, i64.xor(operands, i64.load(i32.add(columns, i32.shl(i32.ctz(bits), 3)))))
          f.set(bits, i32.and(bits, i32.sub(bits, 1)))
          f.br(more)
        }))
        const first = f.let(i32.wrap(operands))
        const second = f.let(i32.wrap(i64.shrU(operands, 32)))
        const form = f.let(i32.or(i32.mul(i32.eqz(i32.and(first, FIRST_REGISTER)), RULE_FORM.zero), i32.mul(i32.leS(second, 0), RULE_FORM.back)))
        f.set(told, i32.load8U(rule, RULE_FIELD.info))
        f.if(i32.and(told, HAS_TARGET), () => f.if(i32.eqz(i32.and(i32.add(offset, second), -PAGE_BYTES)), () => {
          f.set(second, i32.shl(second, 2))
          f.set(form, i32.or(form, RULE_FORM.near))
        }))
        f.if(i32.load8U(rule, RULE_FIELD.csr), () => f.set(second, i32.load8U(i32.and(second, 0xfff), e.rules + RULE_CSRS)))
        const handler = i32.load16U(i32.add(rule, i32.shl(form, 1)), RULE_FIELD.handlers)
        // At once, so that an op is either whole or not there.
        f.do(i64.store(op, i64.or(i64.shl(i64.extendU(second), 32), i64.extendU(i32.or(first, handler)))))
      })
      f.if(i32.and(told, ENDS_BLOCK), () => f.return())
      f.set(op, i32.add(op, i32.shl(i32.and(told, LENGTH), 2)))
      f.br(following)
    })
  })
}
