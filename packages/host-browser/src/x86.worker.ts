import { microvm, microvmCatalogue } from '@machinist/boards'
import { boardOptions } from './worker/board.ts'
import { serveMachine } from './worker/serve.ts'

serveMachine({ cpu: 'x86', catalogue: microvmCatalogue, board: (description) => microvm(boardOptions(description, 'microvm')) })
