// A quantized model that is slower than it was before quantization, or answers otherwise: said where the board found it out.
import type { ModelPlace } from '../../routes/shapes.ts'
import { comparisonWords } from '../words.ts'

/** `on`: the board's name, where it is not said beside it. */
export function BesideFp32({ found, on }: { found: ModelPlace['besideFp32']; on?: string }) {
  const words = found && comparisonWords(found)
  if (words === undefined) return null
  return (
    <span class="reason ink-bad">
      {on !== undefined && `${on}: `}
      {words}
    </span>
  )
}
