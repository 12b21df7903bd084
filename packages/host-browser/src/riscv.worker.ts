import { virt, virtCatalogue } from '@machinist/boards'
import { boardOptions } from './worker/board.ts'
import { serveMachine } from './worker/serve.ts'

serveMachine({ cpu: 'riscv', catalogue: virtCatalogue, board: (description) => virt(boardOptions(description, 'virt')) })
