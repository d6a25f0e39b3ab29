-- With automated self-heal Git wins: suspend there, too, if it is to last.
obj.spec.suspend = true
return obj
