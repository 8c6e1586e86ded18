// A text field and one row of choices above a list.
import type { Signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'

export interface Choice {
  readonly value: string
  readonly label: string
}

export interface FilterProps {
  readonly label: string
  readonly hint: string
  readonly text: Signal<string>
  readonly choice: Signal<string>
  readonly choices: readonly Choice[]
  readonly children?: ComponentChildren
}

export const Filter = ({ label, hint, text, choice, choices, children }: FilterProps) => (
  <search class="filter">
    <input
      type="search"
      aria-label={label}
      placeholder={hint}
      value={text.value}
      onInput={(event) => {
        text.value = event.currentTarget.value
      }}
    />
    <fieldset class="choices">
      <legend class="unseen">State</legend>
      {choices.map(({ value, label: name }) => (
        <button
          key={value}
          type="button"
          class="choice"
          aria-pressed={choice.value === value}
          onClick={() => {
            choice.value = value
          }}
        >
          {name}
        </button>
      ))}
    </fieldset>
    {children}
  </search>
)
