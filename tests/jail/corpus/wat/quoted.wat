(module quote "(func (export \"handle\") unreachable")
