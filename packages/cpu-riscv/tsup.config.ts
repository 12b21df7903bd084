import { library } from '../../tsup.base.ts'

export default library({ 'index': 'src/index.ts', 'isa/index': 'src/isa/index.ts', 'sbi/index': 'src/sbi/index.ts' })
