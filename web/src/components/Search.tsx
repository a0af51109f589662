import { TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';

/** Narrows a list that is already there. */
export function Search({
  label,
  value,
  onChange,
}: {
  label: string;
  value: string;
  onChange: (text: string) => void;
}) {
  return (
    <TextInput
      type="search"
      aria-label={label}
      placeholder={label}
      leftSection={<IconSearch size={16} aria-hidden />}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      w={{ base: '100%', xs: 280 }}
    />
  );
}

export const matches = (text: string, search: string) =>
  text.toLowerCase().includes(search.trim().toLowerCase());
