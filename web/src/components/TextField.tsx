/** Fields of a form that tell their text, and are required unless they say otherwise. */
import {
  PasswordInput,
  type PasswordInputProps,
  Textarea,
  type TextareaProps,
  TextInput,
  type TextInputProps,
} from '@mantine/core';

type Telling<Props> = Omit<Props, 'onChange' | 'value'> & {
  value: string;
  onChange: (text: string) => void;
};

/** What most fields have in common: required, without a star on every one of them. */
const usual = { required: true, withAsterisk: false } as const;

export function TextField({ onChange, ...props }: Telling<TextInputProps>) {
  return <TextInput {...usual} {...props} onChange={(event) => onChange(event.currentTarget.value)} />;
}

/** A name that means what it says to the letter: nothing fills it in, and no spelling is marked. */
export function NameField({ value, error, ...props }: Telling<TextInputProps>) {
  return (
    <TextField
      autoComplete="off"
      spellCheck={false}
      {...props}
      value={value}
      error={value === '' ? 'A name is needed.' : error}
    />
  );
}

export function SecretField({ onChange, ...props }: Telling<PasswordInputProps>) {
  return <PasswordInput {...usual} {...props} onChange={(event) => onChange(event.currentTarget.value)} />;
}

export function LongTextField({ onChange, ...props }: Telling<TextareaProps>) {
  return (
    <Textarea autosize minRows={2} {...props} onChange={(event) => onChange(event.currentTarget.value)} />
  );
}
